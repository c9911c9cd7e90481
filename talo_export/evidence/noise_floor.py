"""The base against itself: how many answers flip when nothing but the batches changed.

A gain of the size of this noise is none, whatever its interval says: the interval is about which
items were drawn, not about rounding in the last bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

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
        return asdict(self)


def noise_floor(first: ScoreTable, second: ScoreTable) -> NoiseFloor:
    """Compare the base rows of two tables, item by item (by id).

    Raises TaloError where they are not about the same items.
    """
    if set(first.item_ids) != set(second.item_ids) or not first.item_ids:
        raise TaloError(
            "The two runs of the base are not about the same items: "
            "repeat the base on exactly the items of the run."
        )
    where = {item_id: column for column, item_id in enumerate(second.item_ids)}
    other = second.take_items([where[item_id] for item_id in first.item_ids])
    one, two = first.row(None), other.row(None)
    differs = np.array(
        [a != b for a, b in zip(first.answers[one], other.answers[two], strict=True)], dtype=bool
    )
    differs |= first.choice[one] != other.choice[two]
    gap = None
    if first.scores is not None and other.scores is not None:
        gaps = np.abs(first.scores[one] - other.scores[two])
        gap = float(np.nanmax(gaps)) if np.isfinite(gaps).any() else None
    return NoiseFloor(
        n=len(first.item_ids),
        flipped=int(differs.sum()),
        turned=int((right(first)[one] != right(other)[two]).sum()),
        largest_score_difference=gap,
    )
