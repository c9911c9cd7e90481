"""How well a checkpoint does on many tasks: one loaded model, one table, averages by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from talo_export.codec import Field, Recorded
from talo_export.commands.evaluate import (
    EvaluateResult,
    Note,
    Watch,
    run_evaluate,
    silent,
    unwatched,
)
from talo_export.commands.many import (
    Begin,
    Failure,
    SharedModel,
    each_task,
    references,
    unannounced,
)
from talo_export.probing.settings import Kind
from talo_export.requests.measurements import EvaluateRequest
from talo_export.tasks.averages import Averages


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
        return cls(
            result.task,
            result.n,
            result.accuracy,
            result.ci95,
            result.chance,
            result.unparsed,
            result.averages,
        )


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


def run_evaluations(
    request: EvaluateRequest,
    *,
    note: Note = silent,
    progress: Watch = unwatched,
    begin: Begin = unannounced,
) -> EvaluationsResult:
    """Evaluate every task that `request.task` names."""
    wanted = references(request, model_is_demo=request.is_demo)

    def evaluate(reference: str, model: SharedModel) -> EvaluateResult:
        one = replace(request, task=reference)
        return run_evaluate(one, note=note, progress=progress, load=model)

    outcomes = each_task(wanted, request, evaluate, note=note, begin=begin)
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
