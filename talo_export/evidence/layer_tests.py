"""Every layer of a full sweep tested at once: p-values and intervals corrected for luck.

The best of 80 layers looks good by chance. Under the hypothesis that no layer changes anything,
the sign of each group's differences is a fair coin, the same coin for all layers, since they
answer the same items. Flipping these coins gives the distribution of the *largest* statistic over
all layers, and each layer is held against that (Westfall and Young 1993). The correction is exact
for any correlation between layers, and much less severe than Bonferroni's where they agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talo_export.codec import Recorded
from talo_export.evidence.criteria import Array
from talo_export.evidence.differences import Differences
from talo_export.evidence.paired import LEVEL, mean_and_error

PERMUTATIONS = 10_000
_BLOCK = 1_000


@dataclass(frozen=True)
class LayerTest:
    """One layer of a sweep. Gain and limits are shares."""

    layer: int
    gain: float
    p_gain: float
    """One-sided p-value that the gain is luck, corrected over all layers."""
    p_change: float
    """Two-sided, corrected over all layers: that knocking the layer out changes nothing."""
    simultaneous_interval: tuple[float, float]
    """Limits that hold for all layers at once with probability `level`."""


@dataclass(frozen=True)
class LayerTests(Recorded):
    """Every layer of a sweep, tested at once."""

    measure: str
    n: int
    groups: int
    level: float
    layers: tuple[LayerTest, ...]

    @property
    def best(self) -> LayerTest:
        """The layer with the smallest p_gain, the larger gain on a tie."""
        return min(self.layers, key=lambda test: (test.p_gain, -test.gain))

    @property
    def most_any_layer_gains(self) -> float:
        """No layer gains more than this, at the stated level."""
        return max(test.simultaneous_interval[1] for test in self.layers)


def correct_over_layers(
    sweep: Differences, *, seed: int, permutations: int = PERMUTATIONS
) -> LayerTests:
    """Max-statistic permutation test over layers, by group.

    The statistic is sum / sqrt(sum of squares) of a layer's group sums: its denominator does not
    change when signs flip, so layers that change many answers and few compete fairly.
    """
    sums = sweep.by_group(sweep.accuracy)
    observed = _statistic(sums, sums.sum(axis=0))
    largest, largest_size = _null_maxima(sums, permutations, np.random.default_rng(seed))
    reach = float(np.quantile(largest_size, LEVEL, method="higher"))
    low, high = _limits(sums, np.bincount(sweep.members).astype(np.float64), reach)
    columns = (
        sweep.layers,
        sweep.accuracy.mean(axis=0).tolist(),
        _exceeded(largest, observed),
        _exceeded(largest_size, np.abs(observed)),
        zip(low.tolist(), high.tolist(), strict=True),
    )
    return LayerTests(
        measure="accuracy",
        n=sweep.n_items,
        groups=sweep.n_groups,
        level=LEVEL,
        layers=tuple(LayerTest(*row) for row in zip(*columns, strict=True)),
    )


def _statistic(sums: Array, totals: Array) -> Array:
    scale = np.sqrt((sums**2).sum(axis=0))
    return totals / np.where(scale > 0, scale, 1.0)


def _null_maxima(sums: Array, permutations: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """(P,) largest statistic over layers of each permutation, and largest in absolute value."""
    largest, largest_size = [], []
    for start in range(0, permutations, _BLOCK):
        count = min(_BLOCK, permutations - start)
        signs = rng.integers(0, 2, size=(count, len(sums))).astype(np.float64) * 2 - 1
        drawn = _statistic(sums, signs @ sums)
        largest.append(drawn.max(axis=1))
        largest_size.append(np.abs(drawn).max(axis=1))
    return np.concatenate(largest), np.concatenate(largest_size)


def _exceeded(null: Array, observed: Array) -> tuple[float, ...]:
    """Share of the permutations (the observed one counted in) that reach each statistic."""
    ranked = np.sort(null)
    reached = len(null) - np.searchsorted(ranked, observed - 1e-9, side="left")
    return tuple(((1 + reached) / (1 + len(null))).tolist())


def _limits(sums: Array, sizes: Array, reach: float) -> tuple[Array, Array]:
    """Gain +- reach standard errors, with a typical group each way."""
    centre, error = mean_and_error(sums, sizes)
    return np.maximum(centre - reach * error, -1), np.minimum(centre + reach * error, 1)
