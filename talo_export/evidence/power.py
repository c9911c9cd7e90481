"""How many items it takes: the smallest gain n items can confirm, and what "no layer" can mean.

A paired test sees only the items whose answer changes. With n items of which a share `changed`
changes, and a true gain g, an item that changes turns right with probability
(changed + g) / (2 changed). Power follows exactly, by summing over the number that changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Recorded, derived
from talo_export.errors import UsageError
from talo_export.evidence.layer_tests import LayerTests
from talo_export.evidence.paired import LEVEL
from talo_export.wording import count, percent

TYPICAL_CHANGED = 0.15
"""Share of answers a knockout changes, where nothing better is known."""

CHANCE = 0.8
"""Probability with which a gain is to be confirmed where it is called confirmable."""

OF_INTEREST = 0.05
"""The smallest gain (a share) that it would be a pity to miss."""

MOST = 1_000_000
"""Items beyond which no more are counted."""


@dataclass(frozen=True)
class Power(Recorded):
    """What unseen items can confirm, told before anything is run."""

    unseen: int
    smallest_confirmable_gain: float | None
    """The smallest true gain (a share) that is confirmed with a probability of `CHANCE`."""
    changed_share: float = TYPICAL_CHANGED
    """Of the answers, as assumed for that gain; never below it."""

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points, without its full stop."""
        if not self.unseen:
            return "every item probes, none is left to confirm: cross-validation judges the choice"
        gain = self.smallest_confirmable_gain
        if gain is None:
            return f"{count(self.unseen, 'unseen item')} cannot confirm any gain: it takes six"
        return (
            f"with {self.unseen} unseen items a gain of {math.ceil(100 * gain)} points or more "
            f"will probably be confirmed ({assumption(self.changed_share, gain)})"
        )


@dataclass(frozen=True, kw_only=True)
class NullResult(Recorded):
    """What it means that no layer was found to help."""

    meaning: Literal["none", "too few items"]
    n: int
    base_accuracy: float = 0.0
    """0 in runs of earlier versions, which did not record it."""
    smallest_of_interest: float
    most_any_layer_gains: float
    """Upper limit for all layers at once, as a share; never more than the base leaves to gain."""
    items_needed: int
    """Items at which a gain of `smallest_of_interest` is confirmed with probability `CHANCE`."""
    changed_share: float = TYPICAL_CHANGED
    """Of the answers, as assumed for `items_needed`."""

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        most, least = 100 * self.most_any_layer_gains, 100 * self.smallest_of_interest
        if self.base_accuracy == 1:
            return f"The base answers all {self.n} items right: there is nothing to gain on them."
        if self.meaning == "none":
            return (
                f"No layer's knockout gains more than {most:.1f} points here "
                f"({self.n} items, all layers at once): there is none worth {least:.0f} points."
            )
        all_left = self.most_any_layer_gains >= 1 - self.base_accuracy
        return (
            f"{self.n} items are too few to tell: a layer could still gain {most:.1f} points"
            f"{', all that the base leaves to gain' if all_left else ''}. About "
            f"{self.items_needed} unseen items would probably confirm a gain of {least:.0f} "
            f"({assumption(self.changed_share, self.smallest_of_interest)})."
        )


def assumption(changed: float, gain: float) -> str:
    """What a statement of power rests on: its probability and the share of changed answers."""
    if changed <= gain + 1e-9:
        return "4 chances in 5, if no answer turns wrong"
    return f"4 chances in 5, if {percent(changed, 0)} of the answers change"


def power(n: int, gain: float, *, changed: float = TYPICAL_CHANGED) -> float:
    """Probability that n independent items confirm a true gain, by the exact two-sided sign test.

    `gain` and `changed` are shares, 0 <= gain <= changed.
    """
    if not 0 < changed <= 1:
        raise UsageError(f"The share of changed answers lies in (0, 1], not at {changed}.")
    if not 0 <= gain <= changed:
        raise UsageError(
            f"A gain of {gain} is impossible where only a share {changed} of answers changes."
        )
    from scipy.stats import binom

    changes = np.arange(n + 1)
    needed = _needed(changes)
    turns_right = (changed + gain) / (2 * changed)
    confirmed = binom.sf(needed - 1, changes, turns_right)
    return float((binom.pmf(changes, n, changed) * confirmed).sum())


def _needed(changes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Right turns among m changes that the two-sided sign test rejects at; m + 1 for never."""
    from scipy.stats import binom

    tail = (1 - LEVEL) / 2
    needed = binom.isf(tail, changes, 0.5) + 1
    return np.where(binom.sf(needed - 1, changes, 0.5) <= tail, needed, changes + 1)


def power_of(unseen: int) -> Power:
    """What `unseen` items can confirm where a knockout changes the typical share of answers."""
    gain = smallest_confirmable(unseen)
    return Power(unseen, gain, max(TYPICAL_CHANGED, gain or 0.0))


def smallest_confirmable(n: int, *, changed: float = TYPICAL_CHANGED) -> float | None:
    """Smallest true gain (a share) that n items confirm with probability `CHANCE`.

    A larger gain than `changed` is one where just so many answers change, all for the better;
    with `changed=0` every gain is: the best case. None where n items cannot confirm any.
    """

    def enough(gain: float) -> bool:
        return power(n, gain, changed=max(changed, gain)) >= CHANCE

    if not enough(1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def items_needed(gain: float, *, changed: float = TYPICAL_CHANGED) -> int:
    """About the fewest items that confirm a true gain with probability `CHANCE`, up to `MOST`."""
    if gain <= 0:
        raise UsageError(f"A gain of {gain} is none: no number of items can confirm it.")
    changed = max(changed, gain)
    low, high = 1, 16
    while high < MOST and power(high, gain, changed=changed) < CHANCE:
        low, high = high, 2 * high
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        if power(middle, gain, changed=changed) >= CHANCE:
            high = middle
        else:
            low = middle
    return min(high, MOST)


def explain_null(tests: LayerTests, *, base_accuracy: float) -> NullResult:
    """After a full sweep: does "no layer helps" mean none, or too few items?

    "none" where the limit that holds for all layers at once lies below the gain of interest. No
    layer gains more than what the base leaves to gain on these items, and no more answers are
    taken to change than can where that much is left.
    """
    left = 1 - base_accuracy
    most = min(tests.most_any_layer_gains, left)
    changed = max(OF_INTEREST, min(TYPICAL_CHANGED, 2 * left - OF_INTEREST))
    return NullResult(
        meaning="none" if most < OF_INTEREST - 1e-9 else "too few items",
        n=tests.n,
        base_accuracy=base_accuracy,
        smallest_of_interest=OF_INTEREST,
        most_any_layer_gains=most,
        items_needed=items_needed(OF_INTEREST, changed=changed),
        changed_share=changed,
    )
