"""How well a checkpoint does on a task, or on many with one loaded model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated

from scipy.stats import binomtest

from talo_export.codec import Field, Recorded
from talo_export.commands.many import Failure, LazyModel, each_task, references
from talo_export.models.loading import LoadedModel
from talo_export.models.proof import refuse_broken_weights
from talo_export.models.reference import parse_reference
from talo_export.probing.settings import Kind
from talo_export.probing.sweep import sweep
from talo_export.reporting import Reporter
from talo_export.requests.measurements import EvaluateRequest
from talo_export.runs.answers import open_answers
from talo_export.runs.chosen_task import load_chosen, meaning
from talo_export.runs.loading import load_for_inference, settle_dtype
from talo_export.tasks.averages import Averages, average
from talo_export.tasks.splits import split_task


@dataclass(frozen=True)
class Answer:
    """What a model said to one item. `choice` is None where none was read."""

    id: str
    answer: str | None
    choice: int | None
    correct: bool


@dataclass(frozen=True)
class EvaluateResult(Recorded):
    """A model on a task's items: the document of `evaluate --json`.

    `accuracy` is the micro average, over items; `averages` names the others.
    """

    model: str
    revision: str | None
    task: str
    task_source: str
    scoring: Kind
    chance: float
    n: int
    too_long: tuple[str, ...]
    """Ids of items left out."""
    accuracy: float
    ci95: tuple[float, float]
    averages: Averages
    unparsed: int
    """Answers that could not be read; they count as wrong."""
    items: tuple[Answer, ...]
    seconds: float
    dtype: str
    """The number format it was computed in."""


def run_evaluate(
    request: EvaluateRequest, reporter: Reporter, load: Callable[[], LoadedModel] | None = None
) -> EvaluateResult:
    """Accuracy on the task's items, or on `limit` of them; `load` gives a model that is shared.

    The interval is Clopper and Pearson's exact one at 95 % (Biometrika 26, 1934): it treats items
    as independent, so items that share an image make it too narrow.
    """
    parse_reference(request.model_reference)  # A mistyped model is told before a task is fetched.
    reporter.note(meaning(request.task, model_is_demo=request.is_demo))
    found = load_chosen(request, model_is_demo=request.is_demo)
    items = found.items
    if request.limit is not None and request.limit < len(items):
        items = split_task(found, request.limit, request.seed).probe
    reporter.note(f"{found.name}: {len(items)} of {len(found)} items from {found.source}")
    loaded = load_for_inference(settle_dtype(request, reporter)) if load is None else load()
    with open_answers(request, found, loaded) as journal:
        result = sweep(
            loaded,
            items,
            (None,),
            request.to_scoring(),
            journal=journal,
            batch_size=request.batch_size,
            skip_too_long=request.skip_too_long,
            reporter=reporter,
            phase=f"answering {len(items)} items",
        )
    reporter.note(f"the answers are kept in {journal.path}")
    table = result.table
    if not table.finite.any():
        refuse_broken_weights(loaded.model)
    answered = [item for item in items if item.id not in result.too_long]
    right = int(table.correct[0].sum())
    interval = binomtest(right, len(answered)).proportion_ci(0.95, method="exact")
    correct = {item.id: bool(table.correct[0, at]) for at, item in enumerate(answered)}
    return EvaluateResult(
        model=request.model_name,
        revision=loaded.revision,
        task=found.name,
        task_source=found.source,
        scoring=request.scoring,
        chance=found.chance,
        n=len(answered),
        too_long=result.too_long,
        accuracy=right / len(answered),
        ci95=(float(interval.low), float(interval.high)),
        averages=average(items, correct),
        unparsed=int((~table.parsed[0]).sum()),
        items=tuple(
            Answer(item.id, answer, None if choice < 0 else choice, correct[item.id])
            for item, answer, choice in zip(
                answered, table.answers[0], table.choice[0].tolist(), strict=True
            )
        ),
        seconds=result.cost.seconds,
        dtype=loaded.dtype,
    )


@dataclass(frozen=True)
class EvaluatedTask:
    """One line of the table."""

    task: str
    n: int
    accuracy: float
    ci95: tuple[float, float]
    chance: float
    unparsed: int
    averages: Averages

    @classmethod
    def of(cls, result: EvaluateResult) -> EvaluatedTask:
        return cls(*(getattr(result, field.name) for field in fields(cls)))


@dataclass(frozen=True)
class EvaluationsResult(Recorded):
    """Many tasks: the document of `evaluate --task 'PATTERN' --json`.

    `micro` is the mean over all items, `macro` the mean over tasks of each one's accuracy; both
    None where no task could be done.
    """

    model: str
    scoring: Kind
    tasks: tuple[EvaluatedTask, ...]
    failed: tuple[Failure, ...]
    micro: float | None
    macro: float | None
    results: Annotated[tuple[EvaluateResult, ...], Field(exclude=True)] = ()
    """Each task's own."""


def run_evaluations(request: EvaluateRequest, reporter: Reporter) -> EvaluationsResult:
    """Evaluate every task that `request.task` names."""
    wanted = references(request, model_is_demo=request.is_demo)

    def evaluate(reference: str, model: LazyModel) -> EvaluateResult:
        return run_evaluate(replace(request, task=reference), reporter, model)

    outcomes = each_task(wanted, request, evaluate, reporter)
    done = outcomes.results
    items = sum(result.n for result in done)
    return EvaluationsResult(
        model=request.model_name,
        scoring=request.scoring,
        tasks=tuple(map(EvaluatedTask.of, done)),
        failed=tuple(outcomes.failed),
        micro=sum(result.accuracy * result.n for result in done) / items if items else None,
        macro=sum(result.accuracy for result in done) / len(done) if done else None,
        results=tuple(done),
    )
