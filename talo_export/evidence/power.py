"""How many items it takes: the smallest gain n items can confirm, and what "no layer" can mean.

A paired test sees only the items whose answer changes. With n items of which a share `changed`
changes, and a true gain g, an item that changes turns right with probability
(changed + g) / (2 changed). Power follows exactly, by summing over the number that changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from talo_export.errors import UsageError
from talo_export.evidence.layer_tests import LayerTests

TYPICAL_CHANGED = 0.15
"""Share of answers a knockout changes, where nothing better is known."""


@dataclass(frozen=True)
class NullResult:
    """What it means that no layer was found to help."""

    meaning: Literal["none", "too few items"]
    n: int
    smallest_of_interest: float
    most_any_layer_gains: float
    """Upper limit for all layers at once, as a share."""
    items_needed: int
    """Items at which a gain of `smallest_of_interest` would be confirmed with 80 % probability."""

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        most, least = 100 * self.most_any_layer_gains, 100 * self.smallest_of_interest
        if self.meaning == "none":
            return (
                f"No layer's knockout gains more than {most:.1f} points here "
                f"({self.n} items, all layers at once): there is none worth {least:.0f} points."
            )
        return (
            f"{self.n} items are too few to tell: a layer could still gain {most:.1f} points. "
            f"About {self.items_needed} unseen items would confirm a gain of {least:.0f}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "meaning": self.meaning,
            "n": self.n,
            "smallest_of_interest": self.smallest_of_interest,
            "most_any_layer_gains": self.most_any_layer_gains,
            "items_needed": self.items_needed,
            "sentence": self.sentence,
        }


def power(n: int, gain: float, *, changed: float = TYPICAL_CHANGED, level: float = 0.95) -> float:
    """Probability that n independent items confirm a true gain, by the exact two-sided sign test.

    `gain` and `changed` are shares, 0 <= gain <= changed.
    """
    if not 0 < changed <= 1:
        raise UsageError(f"The share of changed answers lies in (0, 1], not at {changed}.")
    if not 0 <= gain <= changed:
        raise UsageError(
            f"A gain of {gain} is impossible where only a share {changed} of answers changes."
        )
    changes = np.arange(n + 1)
    needed = _needed(changes, level)
    turns_right = (changed + gain) / (2 * changed)
    confirmed = binom.sf(needed - 1, changes, turns_right)
    return float((binom.pmf(changes, n, changed) * confirmed).sum())


def _needed(changes: NDArray[np.int64], level: float) -> NDArray[np.float64]:
    """Right turns among m changes that the two-sided sign test rejects at; m + 1 for never."""
    tail = (1 - level) / 2
    needed = binom.isf(tail, changes, 0.5) + 1
    return np.where(binom.sf(needed - 1, changes, 0.5) <= tail, needed, changes + 1)


def smallest_confirmable(
    n: int, *, changed: float = TYPICAL_CHANGED, chance: float = 0.8, level: float = 0.95
) -> float | None:
    """Smallest true gain (a share) that n items confirm with probability `chance`.

    None where even a knockout all of whose changes are for the better would be missed too often.
    """
    if power(n, changed, changed=changed, level=level) < chance:
        return None
    low, high = 0.0, changed
    while high - low > 1e-4:
        middle = (low + high) / 2
        if power(n, middle, changed=changed, level=level) >= chance:
            high = middle
        else:
            low = middle
    return high


def smallest_one_sided(n: int, *, chance: float = 0.8, level: float = 0.95) -> float | None:
    """Smallest true gain (a share) that n items confirm where every change is for the better.

    The best case: few items confirm such a gain although they confirm none among `TYPICAL_CHANGED`
    changes. None where even a knockout that turned every answer right would be missed too often.
    """
    if power(n, 1.0, changed=1.0, level=level) < chance:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if power(n, middle, changed=middle, level=level) >= chance:
            high = middle
        else:
            low = middle
    return high


def items_needed(
    gain: float,
    *,
    changed: float = TYPICAL_CHANGED,
    chance: float = 0.8,
    level: float = 0.95,
    most: int = 1_000_000,
) -> int:
    """About the fewest items that confirm a true gain with probability `chance`; at most `most`."""
    if gain <= 0:
        raise UsageError(f"A gain of {gain} is none: no number of items can confirm it.")
    changed = max(changed, gain)
    low, high = 1, 16
    while high < most and power(high, gain, changed=changed, level=level) < chance:
        low, high = high, 2 * high
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        if power(middle, gain, changed=changed, level=level) >= chance:
            high = middle
        else:
            low = middle
    return min(high, most)


def explain_null(
    tests: LayerTests, *, smallest_of_interest: float = 0.05, changed: float = TYPICAL_CHANGED
) -> NullResult:
    """After a full sweep: does "no layer helps" mean none, or too few items?

    "none" where the limit that holds for all layers at once lies below the gain of interest.
    """
    most = tests.most_any_layer_gains
    return NullResult(
        meaning="none" if most < smallest_of_interest else "too few items",
        n=tests.n,
        smallest_of_interest=smallest_of_interest,
        most_any_layer_gains=most,
        items_needed=items_needed(smallest_of_interest, changed=changed),
    )
