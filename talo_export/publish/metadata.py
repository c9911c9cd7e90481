"""A card's metadata: its YAML front matter and the `.eval_results/*.yaml` files.

Both are built with huggingface_hub's own classes, so that what it reads back is what was meant.
The accuracy they state is the confirmed one, measured on items never probed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from talo_export.publish.subject import Subject
from talo_export.runs.record import Record, TaskRecord
from talo_export.tasks.hub_source import hub_source
from talo_export.wording import interval, one_line, points

TAGS = ("talo-export", "layer-knockout", "task-interfering-layers")


def card_data(subject: Subject) -> ModelCardData:
    """The front matter. What is not known is left out.

    The data set stands with its result and not under `datasets`, which the Hub shows as "used to
    train": nothing was trained.
    """
    base = subject.base
    # The Hub knows four relations; a knockout is no adapter, merge or quantisation, so whole
    # weights that were changed count as `finetune` although nothing was trained.
    relation = "adapter" if subject.kind == "adapter" else "finetune"
    return ModelCardData(
        language=list(base.language) or None,
        license=base.license,
        license_name=base.license_name,
        license_link=base.license_link,
        library_name=library_name(subject),
        pipeline_tag=pipeline_tag(subject),
        base_model=base.hub_id,
        tags=list(TAGS),
        metrics=["accuracy"] if subject.confirmation else None,
        model_name=model_name(subject) if subject.confirmation else None,
        eval_results=_results(subject),
        base_model_relation=relation if base.hub_id else None,
    )


def collection_data(subjects: Sequence[Subject]) -> ModelCardData:
    """The front matter of several adapters for one base, with the results of all."""
    first = card_data(subjects[0])
    results = [result for one in subjects for result in _results(one) or ()]
    first.metrics = ["accuracy"] if results else None
    first.model_name = slug(f"{subjects[0].base.short_name}-knockouts") if results else None
    first.eval_results = results or None
    return first


def library_name(subject: Subject) -> str:
    """What loads these weights, by the Hub's own name for it."""
    if subject.gguf_file is not None:
        return "gguf"
    return "peft" if subject.kind == "adapter" else "transformers"


def pipeline_tag(subject: Subject) -> str:
    """The base's own tag, else the one of its kind of model."""
    usual = "image-text-to-text" if subject.model.vlm else "text-generation"
    return subject.base.pipeline_tag or usual


def model_name(subject: Subject) -> str:
    """How readers of the model-index call these weights."""
    task = f"-{subject.task.task}" if subject.task else ""
    return slug(f"{subject.base.short_name}-without-{subject.knockout.slug}{task}")


def eval_result_files(record: Record) -> dict[str, bytes]:
    """`.eval_results/TASK.yaml` with the confirmed accuracy; empty where none was measured.

    `dataset.id` is the Hub data set's id. Items that came from elsewhere have none, so the task's
    own name stands there, without an owner, and the notes say where the items came from.
    """
    task, confirmation = record.task, record.confirmation
    if task is None or confirmation is None:
        return {}
    data_set = hub_source(task.task_source)
    notes = [
        f"talo-export, {task.scoring} scoring, {confirmation.n} items never probed",
        f"base {confirmation.base_accuracy:.4f}",
        f"gain {points(confirmation.gain)} ({interval(confirmation.ci95)})",
        confirmation.verdict,
    ]
    if data_set is None:
        notes.append(f"not a Hub data set: {one_line(source_words(task))}")
    entry = EvalResultEntry(
        dataset_id=data_set.repository if data_set else slug(task.task),
        task_id=slug(task.task),
        value=round(confirmation.accuracy, 6),
        dataset_revision=data_set.commit if data_set else None,
        date=task.date,
        notes="; ".join(notes),
    )
    text = yaml.safe_dump(
        eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=10_000
    )
    return {f".eval_results/{slug(task.task)}.yaml": text.encode()}


def source_words(task: TaskRecord) -> str:
    """Where the items came from, in words."""
    source = task.task_source
    one_file = "." in source and " " not in source and "://" not in source
    return f"the file {source}" if one_file else source


def slug(name: str) -> str:
    """A name as it may stand in a file name or an id: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "task"


def _results(subject: Subject) -> list[EvalResult] | None:
    task, confirmation, data_set = subject.task, subject.confirmation, subject.data_set
    if task is None or confirmation is None:
        return None
    return [
        EvalResult(
            task_type=pipeline_tag(subject),
            dataset_type=data_set.repository if data_set else slug(task.task),
            dataset_name=one_line(task.task) or "task",
            dataset_revision=data_set.commit if data_set else None,
            metric_type="accuracy",
            metric_value=round(confirmation.accuracy, 6),
            metric_name=f"Accuracy on {confirmation.n} items never probed",
        )
    ]
