"""One item to show of a run: a question, and what the base and the knockout said to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from talo_export.evidence.analyses.cases import cases
from talo_export.evidence.confirmation import Verdict
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.tasks.item import Item


@dataclass(frozen=True)
class Example:
    """The item that the knockout changed most, of those that took no part in choosing it."""

    id: str
    question: str
    base_answer: str
    """The choice's text where one was read, else what was said."""
    answer: str
    """The same without the layer."""
    turned_right: bool
    """False of a knockout that harms: then it turned wrong."""


def example_of(
    unseen: ScoreTable, knockout: Knockout, verdict: Verdict, items: Sequence[Item]
) -> Example | None:
    """The most telling of the `unseen` items that turned right, or wrong where the knockout harms.

    None where none did.
    """
    changed, right = cases(unseen, knockout), verdict != "harmful"
    turned = changed.turned_right if right else changed.turned_wrong
    if not turned:
        return None
    item = next(item for item in items if item.id == turned[0].item_id)
    before, after = (_said(unseen, variant, item) for variant in (None, knockout))
    return Example(item.id, item.question or item.prompt or "", before, after, right)


def _said(table: ScoreTable, variant: Knockout | None, item: Item) -> str:
    row, column = table.row(variant), table.item_ids.index(item.id)
    choice = int(table.choice[row, column])
    return item.choices[choice] if choice >= 0 else table.answers[row][column] or ""
