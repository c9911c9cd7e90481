"""The base against itself: how many answers flip when nothing but the batches changed.

A gain of the size of this noise is none, whatever its interval says: the interval is about which
items were drawn, not about rounding in the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.evidence.paired import right
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True)
class NoiseFloor:
    """Two runs of the unmodified model on the same items."""

    n: int
    flipped: int
    """Items answered differently."""
    turned: int
    """Items whose rightness changed; at most `flipped`."""
    largest_score_difference: float | None
    """Over all choices' log-likelihoods, in nats; None where only text was generated."""

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        if not self.flipped:
            return f"Run twice with other batches, the base answers all {self.n} items the same."
        return (
            f"Run twice with other batches, the base answers {self.flipped} of {self.n} items "
            f"differently, {self.turned} of them with another result: "
            f"gains up to {100 * self.turned / self.n:.1f} points are noise."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"sentence": self.sentence}


def noise_floor(first: Sequence[ScoreTable], second: ScoreTable) -> NoiseFloor:
    """Compare the base's answers in some tables without common items to a second run's, by id.

    Raises TaloError where they are not about the same items.
    """
    one, two = _answers(first), _answers([second])
    if one.keys() != two.keys() or not one:
        raise TaloError(
            "The two runs of the base are not about the same items: "
            "repeat the base on exactly the items of the run."
        )
    pairs = [(one[item_id], two[item_id]) for item_id in one]
    gaps = [
        np.abs(np.subtract(a.scores, b.scores))
        for a, b in pairs
        if a.scores is not None and b.scores is not None
    ]
    largest = [float(np.nanmax(gap)) for gap in gaps if np.isfinite(gap).any()]
    return NoiseFloor(
        n=len(pairs),
        flipped=sum((a.answer, a.choice) != (b.answer, b.choice) for a, b in pairs),
        turned=sum(a.right != b.right for a, b in pairs),
        largest_score_difference=max(largest, default=None),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    answer: str | None
    choice: int
    right: bool
    scores: NDArray[np.float64] | None


def _answers(tables: Sequence[ScoreTable]) -> dict[str, _Answer]:
    """Item id -> the base's answer."""
    found: dict[str, _Answer] = {}
    for table in tables:
        base = table.row(None)
        rightly = right(table)[base]
        for column, item_id in enumerate(table.item_ids):
            width = int(table.n_choices[column])
            found[item_id] = _Answer(
                table.answers[base][column],
                int(table.choice[base, column]),
                bool(rightly[column]),
                None if table.scores is None else table.scores[base, column, :width],
            )
    return found
