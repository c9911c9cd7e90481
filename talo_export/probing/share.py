"""What of a sweep is still to be done, and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from talo_export.errors import UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import ItemTooLongError, encode
from talo_export.probing.engines.naive import Todo, passes
from talo_export.probing.journal import Journal, Outcomes
from talo_export.probing.scores import Outcome
from talo_export.probing.settings import Scoring
from talo_export.tasks.answers import is_right
from talo_export.tasks.item import Item


def check_request(
    items: Sequence[Item], variants: Sequence[Knockout | None], batch_size: int | str
) -> None:
    """Raise UsageError where there is nothing to do or no base to compare with."""
    if not items:
        raise UsageError("There are no items to score: the task or the split is empty.")
    if None not in variants:
        raise UsageError("The base model must be among the variants: every gain is against it.")
    if isinstance(batch_size, int) and batch_size < 1:
        raise UsageError(f"A batch of {batch_size} items holds nothing: use 1 or more, or auto.")


def known(
    journal: Journal | None, items: Sequence[Item], variants: Sequence[Knockout | None]
) -> Outcomes:
    """The outcomes asked for that the journal already has; an entry for every variant."""
    stored: Mapping[Knockout | None, Mapping[str, Outcome]] = (
        {} if journal is None else journal.outcomes()
    )
    asked = {item.id: item for item in items}
    return {
        variant: {
            id_: _judged(asked[id_], outcome)
            for id_, outcome in stored.get(variant, {}).items()
            if id_ in asked
        }
        for variant in variants
    }


def _judged(item: Item, outcome: Outcome) -> Outcome:
    """The outcome, right by today's rules: those of earlier versions took some texts for equal."""
    if outcome.choice is None:
        return outcome
    return replace(outcome, correct=is_right(item, outcome.choice))


def merged(parts: Sequence[Outcomes]) -> Outcomes:
    """What several processes know, together; where two know a cell they agree."""
    whole: Outcomes = {}
    for outcomes in parts:
        for variant, seen in outcomes.items():
            whole.setdefault(variant, {}).update(seen)
    return whole


def lacking(
    items: Sequence[Item], variants: Sequence[Knockout | None], outcomes: Outcomes
) -> list[Item]:
    """The items that some variant has not answered."""
    return [i for i in items if any(i.id not in outcomes[variant] for variant in variants)]


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Runs of `size` items in the task's order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def missing(
    loaded: LoadedModel,
    batch: Sequence[Item],
    variants: Sequence[Knockout | None],
    scoring: Scoring,
    outcomes: Outcomes,
    skip_too_long: bool,
) -> tuple[list[Todo], list[str]]:
    """The items of a batch that some variant has not answered, encoded; and those left out.

    Raises ItemTooLongError for an item that the model's context does not hold, unless such are
    to be left out.
    """
    todos: list[Todo] = []
    left_out: list[str] = []
    for item in batch:
        todo = tuple(v for v in variants if item.id not in outcomes[v])
        if todo:
            try:
                todos.append(Todo(encode(loaded, item, scoring), todo))
            except ItemTooLongError:
                if not skip_too_long:
                    raise
                left_out.append(item.id)
    return todos, left_out


def naive_evaluations(decoder: Decoder, todos: Sequence[Todo], scoring: Scoring) -> int:
    """Layer evaluations of one whole pass for each cell, choices of an item each their own."""
    return len(decoder) * sum(passes(todo.encoded, scoring) * len(todo.missing) for todo in todos)
