"""The card of a run's checkpoint, brought up to date with what was measured since."""

from __future__ import annotations

from talo_export.checkpoint.manifest import MANIFEST, read_manifest
from talo_export.jobs.card import renew_card
from talo_export.jobs.comparison import comparison_of
from talo_export.jobs.record import record_of_run
from talo_export.jobs.run import RunDirectory


def renew_run_card(run: RunDirectory) -> None:
    """Bring the card of a run's checkpoint up to date; nothing where it wrote none."""
    document = run.result()
    if document is None or not (run.checkpoint / MANIFEST).is_file():
        return
    record = record_of_run(
        document,
        comparison=comparison_of(run.path, document),
        date=read_manifest(run.checkpoint).task["date"],
    )
    renew_card(run.checkpoint, record)
