"""The card of a run's checkpoint, brought up to date with what was measured since."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from talo_export.checkpoint.manifest import MANIFEST, read_manifest
from talo_export.checkpoint.placing import CARD
from talo_export.checkpoint.staging import write_atomically
from talo_export.publish.card import render_card
from talo_export.publish.subject import read_subject
from talo_export.runs.comparison import comparison_of
from talo_export.runs.directory import RunDirectory
from talo_export.runs.record import Record, record_of_manifest, record_of_run


def renew_run_card(run: RunDirectory) -> None:
    """Bring the card of a run's checkpoint up to date; nothing where it wrote none."""
    result = run.result()
    if result is None or not (run.checkpoint / MANIFEST).is_file():
        return
    task = record_of_manifest(read_manifest(run.checkpoint)).task
    record = record_of_run(
        result,
        comparison=comparison_of(run.path, result),
        date=None if task is None else task.date,
    )
    renew_card(run.checkpoint, record)


def renew_card(directory: Path, record: Record) -> None:
    """Write the card and manifest of a checkpoint anew, after more was measured than it says.

    Each file is replaced in one step, the manifest first: the card is made from it.
    """
    old = read_manifest(directory)
    manifest = replace(old, **{**record.to_json(), "model": old.model})
    card = render_card(read_subject(directory, manifest))
    if CARD in old.added_sha256:
        digest = hashlib.sha256(card.encode()).hexdigest()
        manifest = replace(manifest, added_sha256={**old.added_sha256, CARD: digest})
    write_atomically(directory / MANIFEST, manifest.to_bytes().decode())
    write_atomically(directory / CARD, card)
