"""From a run's result and an edit plan to the facts a model card states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from talo_export.checkpoint.files import BaseFile
from talo_export.checkpoint.foreign import describes_images, is_foreign
from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.manifest import current_versions
from talo_export.checkpoint.plan import Edit
from talo_export.checkpoint.writer import CARD
from talo_export.jobs.comparison import method_facts
from talo_export.knockout import Knockout
from talo_export.models.loading import is_vision_language, read_config
from talo_export.models.reference import ResolvedModel
from talo_export.publish.base_card import base_facts
from talo_export.publish.facts import (
    CardFacts,
    ConfirmationFacts,
    EditFacts,
    Kind,
    ProbeFacts,
    SideEffect,
    TaskFacts,
)

PLOT = "layers.png"


def card_facts(
    base: ResolvedModel,
    knockout: Knockout,
    *,
    name: str,
    n_layers: int,
    document: Mapping[str, Any] | None,
    reproduce: tuple[str, ...],
    edits: Sequence[Edit] = (),
    files: Sequence[BaseFile] = (),
    kind: Kind = "checkpoint",
    has_plot: bool = False,
    has_undo: bool = False,
) -> CardFacts:
    """Collect what is known. `document` is `probe --json`'s, None for a layer named by hand.

    `edits` and `files` are a checkpoint's: what was overwritten, and all files of the base.
    """
    names = {file.name for file in files}
    compared = None if document is None else document.get("comparison")
    return CardFacts(
        base=base_facts(
            base.directory,
            name=name,
            hub_id=base.name if base.revision else None,
            revision=base.revision,
        ),
        knockout=knockout,
        n_layers=n_layers,
        edits=tuple(
            EditFacts(edit.file, edit.tensor, edit.dtype, edit.shape, edit.nbytes) for edit in edits
        ),
        is_vlm=_is_vlm(base),
        kind=kind,
        has_chat_template=any(
            (base.directory / f"chat_template.{ending}").is_file() for ending in ("jinja", "json")
        ),
        task=None if document is None else _task(document),
        probe=None if document is None else _probe(document),
        confirmation=None if document is None else _confirmation(document),
        side_effects=None if document is None else recorded_side_effects(document),
        comparison=() if compared is None else method_facts(compared),
        comparison_n=None if compared is None else compared["test_n"],
        reproduce=reproduce,
        has_plot=has_plot,
        has_undo=has_undo,
        has_base_card=CARD in names,
        versions=tuple(current_versions().items()),
        date=datetime.now(timezone.utc).date().isoformat() if document is not None else None,
    )


def _is_vlm(base: ResolvedModel) -> bool:
    """Whether the base takes images, told without running code that it brings along."""
    if base.gguf_file is None:
        config = read_layout(base.directory).config
        if is_foreign(config):
            return describes_images(config)
    return is_vision_language(read_config(base))


def _task(document: Mapping[str, Any]) -> TaskFacts:
    source = Path(document["task_source"])
    return TaskFacts(
        name=document["task"],
        source=f"the file {source.name}" if source.is_file() else document["task_source"],
        scoring=document["scoring"],
        chance=document["chance"],
        n_items=document["task_items"],
    )


def _probe(document: Mapping[str, Any]) -> ProbeFacts:
    probe = document["probe"]
    return ProbeFacts(
        n=probe["n"],
        seed=document["seed"],
        gain=probe["gains"][document["selected_layer"]],
        shots=document["shots"],
    )


def recorded_side_effects(document: Mapping[str, Any]) -> tuple[SideEffect, ...] | None:
    """What a run's document says of other tasks; None where nobody has looked."""
    found = document.get("side_effects")
    if found is None:
        return None
    return tuple(
        SideEffect(task, one["n"], one["base_accuracy"], one["accuracy"])
        for task, one in found["tasks"].items()
    )


def _confirmation(document: Mapping[str, Any]) -> ConfirmationFacts:
    found = document["confirm"]
    calibration = (document.get("evidence") or {}).get("calibration")
    return ConfirmationFacts(
        n=found["n"],
        base_accuracy=found["base_accuracy"],
        accuracy=found["accuracy"],
        gain=found["gain"],
        ci95=(found["ci95"][0], found["ci95"][1]),
        p_value=found["p_value"],
        verdict=found["verdict"],
        calibrated_gain=None if calibration is None else calibration["calibrated"]["gain"],
    )
