"""Which layers cannot win any more: an anytime-valid test on the items seen so far.

A probing set of N items is swept in an order drawn at random. Against layer l and for another
variant j (another layer, or the base), let D be the difference of their scores on an item, j's
minus l's. Were l the best on the whole set, D would average 0 at most over it. After t items drawn
without replacement the sum S of their D, times N / (N - t), then behaves like a Brownian motion
without upward drift at the time s = t N / (N - t), in units of D's standard deviation (the bridge
from 0 to the whole set's sum, with its clock changed). Mixing the motion's exponential
supermartingales over upward drifts, normal with variance r and cut at 0,

    e = 2 / sqrt(1 + r s) * exp(y^2 / 2) * Phi(y),   y = S N / (N - t) / sd * sqrt(r / (1 + r s))

starts at 1 and does not grow in expectation; so does any weighted average of such e over all j. By
Ville's inequality it ever reaches 1 / a with probability a at most, and the layer is dropped when
it does: **the layer that is best on the whole set is dropped with probability a at most over the
order of the items**, however often and whenever one looks. The motion is a limit, as in the
asymptotic confidence sequences of Waudby-Smith et al. (Annals of Statistics 52, 2024): nothing is
dropped before `FIRST` items, a small variance is added, and the test suite holds the rate by
simulation on scores of several shapes. Items may depend on each other as they like: the chance is
that of the order, and the set is what it is.

Half of the average's weight lies on the base, which most layers lose to most plainly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from talo_export.errors import UsageError
from talo_export.evidence.paired import right
from talo_export.evidence.selection import (
    DEFAULT_CRITERION,
    RACING_CRITERION,
    criterion_named,
)
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.tasks.item import Item

ERROR = 0.05
"""Probability, at most, that the best layer is dropped."""
FIRST = 20
"""Items before the first look."""
STEP = 10
"""Items between two looks. Looking costs no error, only a round of the sweep."""
DRIFT = 9.0
"""r = DRIFT / N: tests that are most sensitive when about half of the items are seen."""
ADDED = 0.01
"""Squared score added to the sum behind the variance: ten equal differences prove no sd of 0."""

Array = NDArray[np.float64]


def race_order(items: Sequence[Item], seed: int) -> list[Item]:
    """The items in a random order that is the same on every machine: by a hash of seed and id."""
    return sorted(
        items, key=lambda item: hashlib.sha256(f"race\n{seed}\n{item.id}".encode()).hexdigest()
    )


def still_racing(
    table: ScoreTable, total: int, criterion: str, error: float = ERROR
) -> tuple[Knockout, ...]:
    """The knockouts that may still be the best of `total` items, by what the criterion ranks.

    `table` holds the items seen so far, in the race's order. A layer that missed one of them was
    dropped before; one with a NaN or Inf among its logits is dropped now, for it is never chosen.
    Raises UsageError for a criterion whose scores have no bounds: one item could outweigh all.
    """
    scores = bounded_scores(table, criterion)
    base = table.row(None)
    out = [
        evidence >= 1 / error or broken or gone
        for evidence, broken, gone in zip(
            evidence_against(scores, base, total).tolist(),
            np.asarray((table.scored & ~table.finite).any(axis=1)).tolist(),
            np.asarray((table.scored[base] & ~table.scored).any(axis=1)).tolist(),
            strict=True,
        )
    ]
    return tuple(
        variant
        for row, variant in enumerate(table.variants)
        if variant is not None and not out[row]
    )


def bounded_scores(table: ScoreTable, criterion: str) -> Array:
    """(V, N) what the criterion ranks, within [0, 1]; NaN where a variant did not see an item."""
    if criterion == DEFAULT_CRITERION:
        criterion = RACING_CRITERION
    measure = criterion_named(criterion, table).measure
    scores = {"accuracy": right(table).astype(np.float64), "probability": table.probability}
    found = scores.get(measure)
    if found is None:
        raise UsageError(
            f"a race needs scores between 0 and 1, and criterion {criterion!r} ranks by "
            f"{measure}: use --criterion accuracy, or probability with --scoring likelihood."
        )
    # An item that nobody was asked tells no two variants apart.
    unasked = ~table.scored[table.row(None)]
    return np.where(unasked, 0.0, np.where(table.scored, found, np.nan))


def evidence_against(scores: Array, base: int, total: int) -> Array:
    """(V,) the largest value yet of each variant's average of e: 1 / a rejects at level a.

    `scores` is (V, t), in the order of the race, looked at after `FIRST` items and every `STEP`
    from there. From a score that is missing on, a pair's e stands still. The base, which is not
    in the race, gets 0.
    """
    variants, seen = scores.shape
    weights = np.full((variants, variants), 0.5 / max(variants - 2, 1))
    weights[:, base] = 0.5
    np.fill_diagonal(weights, 0.0)
    value = np.ones((variants, variants))
    largest = np.ones(variants)
    for look in range(FIRST, min(seen, total - 1) + 1, STEP):
        known = np.asarray(np.isfinite(scores[:, :look]).all(axis=1))
        pairs = known[:, None] & known[None, :]
        value = np.where(pairs, betting_value(scores[:, :look], total), value)
        largest = np.maximum(largest, (weights * value).sum(axis=1))
    largest[base] = 0.0
    return largest


def betting_value(scores: Array, total: int) -> Array:
    """(V, V) e for "the row's variant is no worse than the column's", from `scores` (V, t)."""
    seen = scores.shape[1]
    ahead = scores[None, :, :] - scores[:, None, :]
    error = np.sqrt(ahead.var(axis=2) + ADDED / seen)
    clock = seen * total / (total - seen)
    drift = DRIFT / total
    motion = ahead.sum(axis=2) * total / (total - seen) / error
    y = motion * np.sqrt(drift / (1.0 + drift * clock))
    # The exponent is cut where a float ends.
    return 2.0 / np.sqrt(1.0 + drift * clock) * np.exp(np.minimum(y**2 / 2.0, 600.0)) * ndtr(y)
