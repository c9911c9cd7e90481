"""From a run's result and an edit plan to the facts a model card states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from talo_export.checkpoint.manifest import current_versions
from talo_export.checkpoint.plan import EditPlan
from talo_export.checkpoint.writer import CARD
from talo_export.models.loading import is_vision_language, read_config
from talo_export.models.reference import ResolvedModel
from talo_export.publish.base_card import base_facts
from talo_export.publish.facts import (
    CardFacts,
    ConfirmationFacts,
    EditFacts,
    ProbeFacts,
    TaskFacts,
)

PLOT = "layers.png"


def card_facts(
    base: ResolvedModel,
    plan: EditPlan,
    *,
    name: str,
    n_layers: int,
    document: Mapping[str, Any] | None,
    has_plot: bool,
    has_undo: bool,
    reproduce: tuple[str, ...],
) -> CardFacts:
    """Collect what is known. `document` is `probe --json`'s, None for a layer named by hand."""
    config = read_config(base)
    names = {file.name for file in plan.files}
    return CardFacts(
        base=base_facts(
            base.directory,
            name=name,
            hub_id=base.name if base.revision else None,
            revision=base.revision,
        ),
        knockout=plan.knockout,
        n_layers=n_layers,
        edits=tuple(
            EditFacts(edit.file, edit.tensor, edit.dtype, edit.shape, edit.nbytes)
            for edit in plan.edits
        ),
        is_vlm=is_vision_language(config),
        has_chat_template="chat_template.jinja" in names or "chat_template.json" in names,
        task=None if document is None else _task(document),
        probe=None if document is None else _probe(document),
        confirmation=None if document is None else _confirmation(document),
        reproduce=reproduce,
        has_plot=has_plot,
        has_undo=has_undo,
        has_base_card=CARD in names,
        versions=tuple(current_versions().items()),
        date=datetime.now(timezone.utc).date().isoformat() if document is not None else None,
    )


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


def _confirmation(document: Mapping[str, Any]) -> ConfirmationFacts:
    found = document["confirm"]
    return ConfirmationFacts(
        n=found["n"],
        base_accuracy=found["base_accuracy"],
        accuracy=found["accuracy"],
        gain=found["gain"],
        ci95=(found["ci95"][0], found["ci95"][1]),
        p_value=found["p_value"],
        verdict=found["verdict"],
    )
