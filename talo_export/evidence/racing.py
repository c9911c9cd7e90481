"""Which layers cannot win any more: an anytime-valid test on the items seen so far.

A probing set of N items is swept in an order drawn at random. Against layer l and for another
variant j (another layer, or the base), let D_i = s_j,i - s_l,i, the difference of their scores on
item i, each in [0, 1]. Were l the best on the whole set, all D would sum to 0 at most, so that
given the first t - 1 of them the next has a mean of at most m_t = -(D_1 + ... + D_{t-1}) /
(N - t + 1): items are drawn without replacement. Then, for any share f in (0, 1) fixed in advance,

    K_t = prod over i <= t of (1 + f (D_i - m_i) / (1 + m_i))

starts at 1, is never negative and does not grow in expectation (a betting supermartingale:
Waudby-Smith and Ramdas, JRSS B 86, 2024, section 4); so is any average of such products, over
several f and over all j. By Ville's inequality it ever reaches 1/a with probability a at most. The
layer is dropped when it does: **with probability 1 - a over the order of the items, the layer that
is best on the whole set is never dropped**, however often and whenever one looks, whatever the
scores' distribution and however the items depend on each other.

Half of the average's weight lies on the base, which most layers lose to most plainly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import UsageError
from talo_export.evidence.paired import right
from talo_export.evidence.selection import criterion_named
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.tasks.item import Item

ERROR = 0.05
"""Probability, at most, that the best layer is dropped."""
STEP = 10
"""Items between two looks. Looking costs no error, only a round of the sweep."""
SHARES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""f: large ones find large differences early, small ones small differences at all."""

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
    Raises UsageError for a criterion whose scores have no bounds.
    """
    scores = bounded_scores(table, criterion)
    base = table.row(None)
    lost = evidence_against(scores, base, total) >= 1 / error
    broken = (table.scored & ~table.finite).sum(axis=1) > 0
    gone = (table.scored[base] & ~table.scored).sum(axis=1) > 0
    return tuple(
        variant
        for row, variant in enumerate(table.variants)
        if variant is not None and not (lost | broken | gone)[row]
    )


def bounded_scores(table: ScoreTable, criterion: str) -> Array:
    """(V, N) what the criterion ranks, within [0, 1]; NaN where a variant did not see an item."""
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
    """(V,) the largest value yet of each variant's product average: 1/a rejects at level a.

    `scores` is (V, t), in the order of the race. From a score that is missing on, a pair's
    products stand still. The base, which is not in the race, gets 0.
    """
    variants, seen = scores.shape
    weights = np.full((variants, variants), 0.5 / max(variants - 2, 1))
    weights[:, base] = 0.5
    np.fill_diagonal(weights, 0.0)
    # Compared with themselves alone, two variants would leave weight unused.
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    shares = np.array(SHARES)[:, None, None]
    products = np.ones((len(SHARES), variants, variants))
    sums = np.zeros((variants, variants))
    largest = np.ones(variants)
    for item in range(seen):
        ahead = scores[None, :, item] - scores[:, None, item]
        known = np.isfinite(ahead)
        expected = -sums / (total - item)
        # Beyond -1 nothing that can still come brings the sum back to 0; at -1 only a tie.
        products[:, known & (expected < -1.0)] = np.inf
        playing = known & (expected > -1.0)
        lead = np.where(playing, ahead - expected, 0.0) / np.where(playing, 1.0 + expected, 1.0)
        products *= 1.0 + shares * lead
        sums += np.where(known, ahead, 0.0)
        with np.errstate(invalid="ignore"):
            average = np.nansum(np.where(weights > 0, weights * products.mean(axis=0), 0.0), axis=1)
        largest = np.maximum(largest, average)
    largest[base] = 0.0
    return largest
