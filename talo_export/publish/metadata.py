"""A card's metadata: its YAML front matter and the `.eval_results/*.yaml` files.

Both are built with huggingface_hub's own classes, so that what it reads back is what was meant.
The accuracy they state is the confirmed one, measured on items never probed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from talo_export.publish.facts import CardFacts, ConfirmationFacts, TaskFacts
from talo_export.wording import interval, one_line, points

TAGS = ("talo-export", "layer-knockout", "task-interfering-layers")


def card_data(facts: CardFacts) -> ModelCardData:
    """The front matter. What is not known is left out."""
    base = facts.base
    dataset = facts.task.dataset_id if facts.task else None
    extra: dict[str, Any] = {}
    if base.hub_id:
        # The Hub knows four relations; a knockout is no adapter, merge or quantisation, so whole
        # weights that were changed count as `finetune` although nothing was trained.
        relation = "adapter" if facts.kind == "adapter" else "finetune"
        extra["base_model_relation"] = relation
    return ModelCardData(
        language=list(base.language) or None,
        license=base.license,
        license_name=base.license_name,
        license_link=base.license_link,
        library_name="peft" if facts.kind == "adapter" else "transformers",
        pipeline_tag=pipeline_tag(facts),
        base_model=base.hub_id,
        tags=list(TAGS),
        datasets=[dataset] if dataset else None,
        metrics=["accuracy"] if facts.confirmation else None,
        model_name=model_name(facts) if facts.confirmation else None,
        eval_results=_model_index(facts),
        **extra,
    )


def collection_data(facts: Sequence[CardFacts]) -> ModelCardData:
    """The front matter of several adapters for one base: the data sets and results of all."""
    first = card_data(facts[0])
    found = [(one.task, one.confirmation) for one in facts]
    results = [
        _eval_result(task, confirmation, pipeline_tag(facts[0]))
        for task, confirmation in found
        if task is not None and confirmation is not None
    ]
    datasets = sorted({task.dataset_id for task, _ in found if task and task.dataset_id})
    first.datasets = datasets or None
    first.metrics = ["accuracy"] if results else None
    first.model_name = slug(f"{facts[0].base.short_name}-knockouts") if results else None
    first.eval_results = results or None
    return first


def pipeline_tag(facts: CardFacts) -> str:
    """The base's own tag, else the one of its kind of model."""
    return facts.base.pipeline_tag or ("image-text-to-text" if facts.is_vlm else "text-generation")


def model_name(facts: CardFacts) -> str:
    """How readers of the model-index call these weights."""
    task = f"-{facts.task.name}" if facts.task else ""
    return slug(f"{facts.base.short_name}-without-{facts.knockout.layer}{task}")


def eval_result_files(facts: CardFacts) -> dict[str, bytes]:
    """`.eval_results/TASK.yaml` with the confirmed accuracy; empty where none was measured.

    `dataset.id` is the Hub data set's id. Items that came from elsewhere have none, so the task's
    own name stands there, without an owner, and the notes say where the items came from.
    """
    if facts.task is None or facts.confirmation is None:
        return {}
    task, confirmation = facts.task, facts.confirmation
    notes = [
        f"talo-export, {task.scoring} scoring, {confirmation.n} items never probed",
        f"base {confirmation.base_accuracy:.4f}",
        f"gain {points(confirmation.gain)} ({interval(confirmation.ci95)})",
        confirmation.verdict,
    ]
    if task.dataset_id is None:
        notes.append(f"not a Hub data set: {one_line(task.source)}")
    entry = EvalResultEntry(
        dataset_id=task.dataset_id or slug(task.name),
        task_id=slug(task.name),
        value=round(confirmation.accuracy, 6),
        dataset_revision=task.dataset_revision,
        date=facts.date,
        notes="; ".join(notes),
    )
    text = yaml.safe_dump(
        eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=10_000
    )
    return {f".eval_results/{slug(task.name)}.yaml": text.encode()}


def slug(name: str) -> str:
    """A name as it may stand in a file name or an id: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "task"


def _model_index(facts: CardFacts) -> list[EvalResult] | None:
    if facts.task is None or facts.confirmation is None:
        return None
    return [_eval_result(facts.task, facts.confirmation, pipeline_tag(facts))]


def _eval_result(task: TaskFacts, confirmation: ConfirmationFacts, task_type: str) -> EvalResult:
    return EvalResult(
        task_type=task_type,
        dataset_type=task.dataset_id or slug(task.name),
        dataset_name=one_line(task.name) or "task",
        dataset_config=task.dataset_config,
        dataset_split=task.dataset_split,
        dataset_revision=task.dataset_revision,
        metric_type="accuracy",
        metric_value=round(confirmation.accuracy, 6),
        metric_name=f"Accuracy on {confirmation.n} items never probed",
    )
