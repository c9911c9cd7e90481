"""How well any checkpoint does on a task, item for item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scipy.stats import binomtest

from talo_export.codec import Recorded
from talo_export.models.loading import LoadedModel
from talo_export.models.proof import refuse_broken_weights
from talo_export.models.reference import parse_reference
from talo_export.probing.progress import Watcher
from talo_export.probing.settings import Kind
from talo_export.probing.sweep import sweep
from talo_export.requests.measurements import EvaluateRequest
from talo_export.runs.answers import open_answers
from talo_export.runs.chosen_task import load_chosen, meaning
from talo_export.runs.loading import load_for_inference, settle_dtype
from talo_export.tasks.averages import Averages, average
from talo_export.tasks.splits import split_task

Note = Callable[[str], None]
Watch = Callable[[str], "Watcher | None"]
"""Called with a phase's name; returns who watches that phase."""


def silent(text: str) -> None:
    """A `Note` that says nothing."""


def unwatched(phase: str) -> Watcher | None:
    """A `Watch` that watches nothing."""
    return None


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
    request: EvaluateRequest,
    *,
    note: Note = silent,
    progress: Watch = unwatched,
    load: Callable[[], LoadedModel] | None = None,
) -> EvaluateResult:
    """Accuracy on the task's items, or on `limit` of them; `load` gives a model that is shared.

    The interval is Clopper and Pearson's exact one at 95 % (Biometrika 26, 1934): it treats items
    as independent, so items that share an image make it too narrow.
    """
    parse_reference(request.model_reference)  # A mistyped model is told before a task is fetched.
    note(meaning(request.task, model_is_demo=request.is_demo))
    found = load_chosen(request, model_is_demo=request.is_demo)
    items = found.items
    if request.limit is not None and request.limit < len(items):
        items = split_task(found, request.limit, request.seed).probe
    note(f"{found.name}: {len(items)} of {len(found)} items from {found.source}")
    loaded = load_for_inference(settle_dtype(request, note)) if load is None else load()
    with open_answers(request, found, loaded) as journal:
        result = sweep(
            loaded,
            items,
            (None,),
            request.to_scoring(),
            journal=journal,
            batch_size=request.batch_size,
            skip_too_long=request.skip_too_long,
            progress=progress(f"answering {len(items)} items"),
        )
    note(f"the answers are kept in {journal.path}")
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
            Answer(
                id=item.id,
                answer=table.answers[0][column],
                choice=None if table.choice[0, column] < 0 else int(table.choice[0, column]),
                correct=bool(table.correct[0, column]),
            )
            for column, item in enumerate(answered)
        ),
        seconds=result.cost.seconds,
        dtype=loaded.dtype,
    )
