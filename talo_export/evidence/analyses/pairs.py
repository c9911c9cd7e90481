"""Two layers out: is there more to gain than from one?

The second knockout is a sweep of the model that already lacks the first layer, so a table of that
sweep has the first knockout as its base row. This file only reads such tables; it runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.evidence.paired import (
    accuracy_clusters,
    gain_interval,
    right,
    sign_flip_p_value,
)
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SecondLayer:
    """The best second layer after a first. Shares, on the same items."""

    first: int
    second: int
    first_gain: float
    pair_gain: float
    """Against the base."""
    more: float
    """Against the first layer alone, the larger of many: optimistic."""
    interval: tuple[float, float]
    """Of `more`, not corrected for choosing the second layer."""
    p_value: float


@dataclass(frozen=True)
class Pairs:
    """Gains of single layers (on the diagonal) and pairs, against the base; NaN: not measured."""

    layers: tuple[int, ...]
    n: int
    gains: Array
    """(L, L), symmetric."""
    greedy: SecondLayer
    best: tuple[int, int]
    best_gain: float
    evaluated: int
    """Pairs measured: what the matrix cost in variants, beyond the single sweep."""
    layer_evaluations: int = 0
    """What measuring them took; 0 where all was in the journal."""
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        found = self.greedy
        low, high = (100 * bound for bound in found.interval)
        return (
            f"After layer {found.first} ({100 * found.first_gain:+.1f} points on {self.n} items) "
            f"the best second layer, {found.second}, adds {100 * found.more:+.1f} "
            f"(95 % interval {low:+.1f} to {high:+.1f}, not corrected for choosing it); "
            f"{self.evaluated} pairs took {self.layer_evaluations:,} layer evaluations."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where not measured."""
        return {
            "layers": list(self.layers),
            "n": self.n,
            "gains": [
                [None if np.isnan(gain) else gain for gain in row] for row in self.gains.tolist()
            ],
            "greedy": {
                "first": self.greedy.first,
                "second": self.greedy.second,
                "first_gain": self.greedy.first_gain,
                "pair_gain": self.greedy.pair_gain,
                "more": self.greedy.more,
                "ci95": list(self.greedy.interval),
                "p_value": self.greedy.p_value,
            },
            "best": {"layers": list(self.best), "gain": self.best_gain},
            "pairs_evaluated": self.evaluated,
            "layer_evaluations": self.layer_evaluations,
            "seconds": self.seconds,
            "sentence": self.sentence,
        }


def pairs(
    single: ScoreTable,
    second: Mapping[Knockout, ScoreTable],
    *,
    seed: int,
    layer_evaluations: int = 0,
    seconds: float = 0.0,
) -> Pairs:
    """Put the single sweep and the sweeps after a first knockout together.

    `second[k]` is a sweep over the same items whose base row is knockout k. One entry, the best
    single layer, gives the greedy answer; all of them give the full matrix. Raises TaloError where
    the best single layer's second sweep is missing or the items differ.
    """
    for first, table in second.items():
        if table.item_ids != single.item_ids:
            raise TaloError(
                f"The sweep after knocking out layer {first.layer} is not about the same items "
                "in the same order as the single sweep: run both on the same task."
            )
    if not second:
        raise TaloError("No sweep of a second layer is at hand. Run the pairs sweep first.")
    kind = next(iter(second))
    singles = [
        k for k in single.variants if k is not None and (k.scope, k.fill) == (kind.scope, kind.fill)
    ]
    layers = sorted({k.layer for k in singles})
    at = {layer: i for i, layer in enumerate(layers)}
    base = float(right(single)[single.row(None)].mean())
    gains = np.full((len(layers), len(layers)), np.nan)
    for knockout in singles:
        i = at[knockout.layer]
        gains[i, i] = float(right(single)[single.row(knockout)].mean()) - base
    measured: set[frozenset[int]] = set()
    for first, table in second.items():
        for other in table.variants:
            if other is None or other.layer == first.layer or other.layer not in at:
                continue
            gain = float(right(table)[table.row(other)].mean()) - base
            i, j = at[first.layer], at[other.layer]
            gains[i, j] = gains[j, i] = gain
            measured.add(frozenset((i, j)))
    if not measured:
        raise TaloError("The second sweeps hold no second layer: nothing was paired.")
    i, j = max((sorted(pair) for pair in measured), key=lambda pair: gains[pair[0], pair[1]])
    return Pairs(
        layers=tuple(layers),
        n=len(single.item_ids),
        gains=gains,
        greedy=_greedy(single, second, singles, gains, at, seed),
        best=(layers[i], layers[j]),
        best_gain=float(gains[i, j]),
        evaluated=len(measured),
        layer_evaluations=layer_evaluations,
        seconds=seconds,
    )


def _greedy(
    single: ScoreTable,
    second: Mapping[Knockout, ScoreTable],
    singles: list[Knockout],
    gains: Array,
    at: Mapping[int, int],
    seed: int,
) -> SecondLayer:
    first = max(singles, key=lambda k: (gains[at[k.layer], at[k.layer]], -k.layer))
    if first not in second:
        raise TaloError(
            f"The best single layer is {first.layer}, but no second sweep was run after it. "
            f"Run the pairs sweep with layer {first.layer} first."
        )
    table = second[first]
    others = [k for k in table.variants if k is not None and k.layer != first.layer]
    best = max(others, key=lambda k: (float(right(table)[table.row(k)].mean()), -k.layer))
    clusters = accuracy_clusters(table, best)
    first_gain = float(gains[at[first.layer], at[first.layer]])
    return SecondLayer(
        first=first.layer,
        second=best.layer,
        first_gain=first_gain,
        pair_gain=first_gain + clusters.mean,
        more=clusters.mean,
        interval=gain_interval(clusters, seed=seed),
        p_value=sign_flip_p_value(clusters),
    )
