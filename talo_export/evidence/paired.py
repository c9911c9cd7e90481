"""Paired differences to the base, and what can be said about their mean from few items.

A knockout answers the same items as the base, so everything is inferred from the differences
item by item; two accuracies are never compared as if they came from different items. Items of one
group (one image) stand or fall together: the group, not the item, is what is resampled.

The two inferences for right/wrong differences are chosen for small samples:

- `gain_interval` is a bootstrap over groups of the sample *plus one group that turned right and
  one that turned wrong*. For single items that is the resampling counterpart of the adjusted
  interval of Bonett and Price (2012, J. Educ. Behav. Stat. 37:479); without the two, a sample in
  which nothing changed would have the interval [0, 0], however small it is.
- `sign_flip_p_value` is the exact McNemar (sign) test, carried over to groups: under the null
  hypothesis the sign of each group's sum is a fair coin. Its null distribution is computed by
  convolution, so there is no Monte Carlo error and no seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.probing.scores import ScoreTable

Array = NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95
"""Of every interval."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Differences added up by group, in an order that does not depend on the items' order."""

    sums: NDArray[np.float64]
    """(G,) sum of the differences in each group."""
    sizes: NDArray[np.int64]
    """(G,) number of items in each group, all at least 1."""

    @property
    def mean(self) -> float:
        """Mean difference over items (groups weigh by their size)."""
        return float(self.sums.sum() / self.sizes.sum())

    def __len__(self) -> int:
        return len(self.sums)


def right(table: ScoreTable) -> NDArray[np.bool_]:
    """(V, N) answered rightly, from finite logits; False where an item was not seen."""
    return table.correct & table.scored & table.finite


def knockouts_of(table: ScoreTable, scope: Scope, fill: Fill) -> list[Knockout]:
    """The knockouts of one kind in a table, in its order."""
    return [k for k in table.variants if k is not None and (k.scope, k.fill) == (scope, fill)]


def seen_by_both(table: ScoreTable, knockout: Knockout) -> NDArray[np.bool_]:
    """(N,) items that both the base and the knockout answered."""
    return table.scored[table.row(None)] & table.scored[table.row(knockout)]


def accuracy_clusters(table: ScoreTable, knockout: Knockout) -> Clusters:
    """Knockout minus base in right answers, by group. Raises where they share no item."""
    both = seen_by_both(table, knockout)
    if not both.any():
        raise TaloError(
            f"Layer {knockout.layer} and the base answered no item in common: nothing to compare. "
            "Run the sweep again on at least one item."
        )
    answers = right(table)
    change = answers[table.row(knockout)].astype(np.int64) - answers[table.row(None)]
    groups = [group for group, kept in zip(table.groups, both, strict=True) if kept]
    return cluster(change[both], groups)


def cluster(differences: NDArray, groups: Sequence[str]) -> Clusters:
    """Add up (N,) differences by group name."""
    _, member, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    added = np.bincount(member.ravel(), weights=differences, minlength=len(sizes))
    sums: NDArray[np.float64] = added.astype(np.float64)
    order = np.lexsort((sums, sizes))
    return Clusters(sums=sums[order], sizes=sizes[order].astype(np.int64))


def gain_interval(
    clusters: Clusters, *, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Interval for a gain in accuracy, as a share, by the adjusted bootstrap over groups.

    Groups with the same sum and size are interchangeable, so a resample is one multinomial draw
    over the kinds of group: ten thousand resamples cost milliseconds at any number of items.
    """
    kinds, counts = np.unique(
        np.stack([clusters.sums, clusters.sizes.astype(np.float64)]), axis=1, return_counts=True
    )
    sums, sizes = _one_each_way(kinds[0], kinds[1], float(clusters.sizes.mean()))
    shares = np.concatenate([counts, [1, 1]]) / (len(clusters) + 2)
    drawn = np.random.default_rng(seed).multinomial(len(clusters) + 2, shares, size=resamples)
    gains = (drawn @ sums) / (drawn @ sizes)
    tail = (1 - LEVEL) / 2
    # Steps are coarse at small n: round outwards, so that the interval is never too short.
    low = np.quantile(gains, tail, method="lower")
    high = np.quantile(gains, 1 - tail, method="higher")
    return max(-1.0, float(low)), min(1.0, float(high))


def mean_and_error(sums: Array, sizes: Array) -> tuple[Array, Array]:
    """Mean difference over items and its standard error, from group sums (G,) or (G, L) and the
    two groups of `gain_interval`."""
    sums, sizes = _one_each_way(sums, sizes, float(sizes.mean()))
    centre = sums.sum(axis=0) / sizes.sum()
    residuals = sums - np.multiply.outer(sizes, centre)
    return centre, np.sqrt((residuals**2).sum(axis=0)) / sizes.sum()


def _one_each_way(sums: Array, sizes: Array, typical: float) -> tuple[Array, Array]:
    """The groups and two more of a typical size, one that turned right and one that turned wrong:
    without them, no change would mean no error."""
    extra = np.full((1, *sums.shape[1:]), typical)
    return np.concatenate([sums, extra, -extra]), np.concatenate([sizes, [typical, typical]])


def layer_gains(
    table: ScoreTable, *, scope: Scope, fill: Fill, seed: int, resamples: int = RESAMPLES
) -> dict[int, tuple[float, tuple[float, float]]]:
    """Layer -> its gain and 95 % interval, as shares, for the knockouts of one kind in a table.

    Layers that share no item with the base are left out. Not corrected for being many.
    """
    by_layer = {}
    for knockout in knockouts_of(table, scope, fill):
        if seen_by_both(table, knockout).any():
            clusters = accuracy_clusters(table, knockout)
            interval = gain_interval(clusters, seed=seed, resamples=resamples)
            by_layer[knockout.layer] = (clusters.mean, interval)
    return by_layer


def judged_gain(clusters: Clusters, *, seed: int) -> tuple[float, tuple[float, float], float]:
    """A gain in accuracy, its interval, and its exact p-value."""
    return clusters.mean, gain_interval(clusters, seed=seed), sign_flip_p_value(clusters)


def sign_flip_p_value(clusters: Clusters) -> float:
    """Two-sided exact p-value that the gain is 0, for right/wrong differences.

    P(|sum of randomly signed group sums| >= |observed sum|). With one item a group this is the
    exact McNemar test, that is the two-sided binomial test on the items that changed.
    """
    sums = np.rint(clusters.sums).astype(np.int64)
    if not np.array_equal(sums, clusters.sums):
        raise ValueError("sign_flip_p_value needs whole-numbered differences")
    steps = np.abs(sums[sums != 0])
    null = np.ones(1)
    for step in steps:
        wider = np.zeros(len(null) + 2 * step)
        wider[: len(null)] += null / 2
        wider[2 * step :] += null / 2
        null = wider
    reach = int(steps.sum())
    totals = np.arange(-reach, reach + 1)
    return min(1.0, float(null[np.abs(totals) >= abs(int(sums.sum()))].sum()))
