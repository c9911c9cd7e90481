"""The items a knockout turned right, and those it turned wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from talo_export.errors import TaloError
from talo_export.evidence.paired import right, seen_by_both
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True)
class Case:
    """One item whose result changed. Margins in nats, None where only text was generated."""

    item_id: str
    base_answer: str | None
    answer: str | None
    base_margin: float | None
    margin: float | None


@dataclass(frozen=True)
class Cases:
    """Changed items, the largest change of margin first (then by id)."""

    knockout: Knockout
    n: int
    turned_right: tuple[Case, ...]
    turned_wrong: tuple[Case, ...]

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        return (
            f"Without layer {self.knockout.layer}, {len(self.turned_right)} of {self.n} items "
            f"turned right and {len(self.turned_wrong)} turned wrong."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "layer": self.knockout.layer,
            "n": self.n,
            "sentence": self.sentence,
            "turned_right": [asdict(case) for case in self.turned_right],
            "turned_wrong": [asdict(case) for case in self.turned_wrong],
        }


def cases(table: ScoreTable, knockout: Knockout) -> Cases:
    """Find them. Question and picture are the caller's to look up, by item id."""
    if knockout not in table.variants:
        raise TaloError(
            f"These scores hold no knockout of layer {knockout.layer} "
            f"({knockout.scope}, {knockout.fill}): there are no cases to show."
        )
    base, row = table.row(None), table.row(knockout)
    both = seen_by_both(table, knockout)
    answers = right(table)

    def margin(variant: int, column: int) -> float | None:
        if table.margin is None or not np.isfinite(table.margin[variant, column]):
            return None
        return float(table.margin[variant, column])

    def changed(mask: np.ndarray) -> tuple[Case, ...]:
        found = [
            Case(
                item_id=table.item_ids[column],
                base_answer=table.answers[base][column],
                answer=table.answers[row][column],
                base_margin=margin(base, column),
                margin=margin(row, column),
            )
            for column in np.flatnonzero(mask & both).tolist()
        ]
        return tuple(sorted(found, key=lambda case: (-_shift(case), case.item_id)))

    return Cases(
        knockout=knockout,
        n=int(both.sum()),
        turned_right=changed(answers[row] & ~answers[base]),
        turned_wrong=changed(answers[base] & ~answers[row]),
    )


def _shift(case: Case) -> float:
    if case.margin is None or case.base_margin is None:
        return 0.0
    return abs(case.margin - case.base_margin)
