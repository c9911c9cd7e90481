"""From what a manifest keeps of a run, and an edit plan, to the facts a model card states."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from talo_export.checkpoint.files import BaseFile
from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.manifest import (
    MANIFEST,
    FileRecord,
    Manifest,
    current_versions,
    read_manifest,
    sealed,
)
from talo_export.checkpoint.placing import BASE_CARD, CARD
from talo_export.checkpoint.plan import Edit
from talo_export.checkpoint.staging import write_atomically
from talo_export.errors import TaloError
from talo_export.jobs.comparison import method_facts, sentences
from talo_export.jobs.record import Record, record_of_manifest, without_folders
from talo_export.knockout import Knockout
from talo_export.models.reference import ResolvedModel
from talo_export.publish.base_card import base_facts
from talo_export.publish.card import render_card
from talo_export.publish.facts import (
    BaseFacts,
    CardFacts,
    ConfirmationFacts,
    EditFacts,
    Kind,
    ProbeFacts,
    SideEffect,
    TaskFacts,
)
from talo_export.requests.settings import DEMO
from talo_export.tasks.hub_source import hub_source

PLOT = "layers.png"


def card_facts(
    base: ResolvedModel,
    knockout: Knockout,
    record: Record,
    *,
    name: str,
    kind: Kind = "checkpoint",
    edits: Sequence[Edit] = (),
    files: Sequence[BaseFile] = (),
    storage: str = "plain",
    has_plot: bool = False,
    has_undo: bool = False,
) -> CardFacts:
    """Collect what is known of an export that is being written from `base`.

    `name` is what the user called the base; `edits` and `files` are a checkpoint's: what is
    overwritten, and all files of the base.
    """
    hub_id = base.name if base.revision else None
    name = hub_id or name
    return _facts(
        base_facts(base.directory, name=name, hub_id=hub_id, revision=base.revision),
        knockout,
        record,
        kind=kind,
        edits=edits,
        added=[*([PLOT] if has_plot else []), *([UNDO_FILE] if has_undo else [])],
        has_base_card=CARD in {file.name for file in files},
        gguf_file=base.gguf_file,
        storage=storage,
    )


def facts_of_export(directory: Path, manifest: Manifest, *, kind: Kind) -> CardFacts:
    """The facts of the export in `directory`, or of an adapter made from a checkpoint there.

    Raises `TaloError` where its manifest lacks what a card says.
    """
    if manifest.model is None:
        raise TaloError(f"{directory} says nothing about its base: export it again.")
    hub_id = manifest.base if manifest.revision else None
    name = manifest.base if hub_id else without_folders(manifest.base)
    checkpoint = kind == "checkpoint"
    # An adapter has the base's licence on its own card.
    card = CARD if manifest.storage == "adapter" else BASE_CARD
    return _facts(
        base_facts(directory, name=name, hub_id=hub_id, revision=manifest.revision, card=card),
        manifest.knockout,
        record_of_manifest(manifest),
        kind=kind,
        edits=manifest.edits if checkpoint else (),
        added=manifest.added,
        has_base_card=checkpoint and CARD in manifest.files,
        gguf_file=next((edit.file for edit in manifest.edits if manifest.storage == "gguf"), None),
        storage=manifest.storage,
    )


def with_hashes(facts: CardFacts, files: Mapping[str, FileRecord]) -> CardFacts:
    """The facts with the hash of every file of the base that was edited."""
    edited = ((name, file.sha256) for name, file in files.items() if file.edited and file.sha256)
    return replace(facts, edited_files_sha256=tuple(edited))


def renew_card(directory: Path, record: Record) -> None:
    """Write the card and manifest of a checkpoint anew, after more was measured than it says.

    Each file is replaced in one step, the card first: the manifest holds its hash.
    """
    old = read_manifest(directory)
    manifest = replace(old, **{**record.fields(), "model": old.model})
    facts = facts_of_export(directory, manifest, kind="checkpoint")
    write_atomically(directory / CARD, render_card(with_hashes(facts, manifest.files)))
    write_atomically(directory / MANIFEST, sealed(manifest, directory).to_bytes())


def reproduce_lines(
    name: str, knockout: Knockout, record: Record, *, form: Kind = "checkpoint"
) -> tuple[str, ...]:
    """The commands that give this export again."""
    ending = ["--as", form] if form != "checkpoint" else []
    if record.task is not None:
        again = (str(record.task["command"]),)
        if form == "checkpoint":
            return again
        return (*again, "talo-export export --run RUN --as adapter --out OUT")
    words = ["talo-export", "export", "--layer", str(knockout.layer), "--out", "OUT"]
    if name != DEMO:
        words[2:2] = ["--model", without_folders(name)]
    words += ["--scope", knockout.scope] if knockout.scope != "attention" else []
    words += ["--fill", knockout.fill] if knockout.fill != "zero" else []
    return (shlex.join([*words, *ending]),)


def _facts(
    base: BaseFacts,
    knockout: Knockout,
    record: Record,
    *,
    kind: Kind,
    edits: Iterable[Edit],
    added: Iterable[str],
    has_base_card: bool,
    gguf_file: str | None,
    storage: str,
) -> CardFacts:
    names, comparison, model = set(added), record.comparison, record.model
    return CardFacts(
        base=base,
        knockout=knockout,
        n_layers=model["layers"],
        edits=tuple(
            EditFacts(edit.file, edit.tensor, edit.dtype, edit.shape, edit.nbytes) for edit in edits
        ),
        is_vlm=model["vlm"],
        kind=kind,
        gguf_file=gguf_file,
        storage=storage,
        architecture=model["architecture"],
        has_chat_template=model["chat_template"],
        task=None if record.task is None else _task(record.task),
        probe=None if record.task is None else _probe(record, knockout),
        confirmation=None if record.confirmation is None else _confirmation(record.confirmation),
        side_effects=side_effect_facts(record.side_effects),
        comparison=() if comparison is None else method_facts(comparison),
        comparison_n=None if comparison is None else comparison["test_n"],
        comparison_says=() if comparison is None else sentences(comparison),
        reproduce=reproduce_lines(base.name, knockout, record, form=kind),
        has_plot=PLOT in names,
        has_undo=UNDO_FILE in names,
        has_base_card=has_base_card,
        versions=tuple(current_versions().items()),
        date=None if record.task is None else record.task["date"],
    )


def _task(task: Mapping[str, Any]) -> TaskFacts:
    source = str(task["task_source"])
    data = hub_source(source)
    one_file = "." in source and " " not in source and "://" not in source
    return TaskFacts(
        name=task["task"],
        source=f"the file {source}" if one_file else source,
        scoring=task["scoring"],
        chance=task["chance"],
        n_items=task["task_items"],
        dataset_id=None if data is None else data.repository,
        dataset_revision=None if data is None else data.commit,
    )


def _probe(record: Record, knockout: Knockout) -> ProbeFacts:
    return ProbeFacts(
        n=record.selection["n"],
        seed=record.task["seed"],
        gain=record.selection["gains"][knockout.layer],
        shots=record.task["shots"],
    )


def _confirmation(found: Mapping[str, Any]) -> ConfirmationFacts:
    return ConfirmationFacts(
        n=found["n"],
        base_accuracy=found["base_accuracy"],
        accuracy=found["accuracy"],
        gain=found["gain"],
        ci95=(found["ci95"][0], found["ci95"][1]),
        p_value=found["p_value"],
        verdict=found["verdict"],
        calibrated_gain=found.get("calibrated_gain"),
    )


def side_effect_facts(found: Mapping[str, Any] | None) -> tuple[SideEffect, ...] | None:
    """What a run's document says of other tasks; None where nobody has looked."""
    if found is None:
        return None
    return tuple(
        SideEffect(
            task=task,
            n=effect["n"],
            base_accuracy=effect["base_accuracy"],
            accuracy=effect["accuracy"],
            ci95=(effect["ci95"][0], effect["ci95"][1]),
        )
        for task, effect in found["tasks"].items()
    )
