"""Two layers out: is there more to gain than from one?

The second knockout is a sweep of the model that already lacks the first layer, so a table of that
sweep has the first knockout as its base row. This file only reads such tables; it runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.canvas import INK, colour_bar, figure, heat_map
from talo_export.evidence.grid import Grid
from talo_export.evidence.paired import accuracy_clusters, judged_gain, knockouts_of, right
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.wording import points, signed


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
    ci95: tuple[float, float]
    """Of `more`, not corrected for choosing the second layer."""
    p_value: float


@dataclass(frozen=True)
class BestPair:
    """The pair with the largest gain against the base (a share): optimistic."""

    layers: tuple[int, int]
    gain: float


@dataclass(frozen=True)
class Pairs(Recorded):
    """Gains of single layers (on the diagonal) and pairs, against the base; NaN: not measured."""

    layers: tuple[int, ...]
    n: int
    gains: Grid
    """(L, L), symmetric."""
    greedy: SecondLayer
    best: BestPair
    pairs_evaluated: int
    """What the matrix cost in variants, beyond the single sweep."""
    layer_evaluations: int = 0
    """What measuring them took; 0 where all was in the journal."""
    seconds: float = 0.0

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        greedy = self.greedy
        low, high = greedy.ci95
        return (
            f"After layer {greedy.first} ({points(greedy.first_gain)} on {self.n} items) "
            f"the best second layer, {greedy.second}, adds {signed(greedy.more)} "
            f"(paired 95 % interval {signed(low)} to {signed(high)}, not corrected for the "
            f"choice); {self.pairs_evaluated} pairs took {self.layer_evaluations:,} layer "
            "evaluations."
        )


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
    singles = knockouts_of(single, kind.scope, kind.fill)
    layers = sorted({k.layer for k in singles})
    at = {layer: i for i, layer in enumerate(layers)}
    base = _accuracy(single, None)
    alone = {knockout: _accuracy(single, knockout) - base for knockout in singles}
    gains = np.full((len(layers), len(layers)), np.nan)
    for knockout, gain in alone.items():
        gains[at[knockout.layer], at[knockout.layer]] = gain
    measured: set[frozenset[int]] = set()
    for first, table in second.items():
        for other in table.variants:
            if other is None or other.layer == first.layer or other.layer not in at:
                continue
            i, j = at[first.layer], at[other.layer]
            gains[i, j] = gains[j, i] = _accuracy(table, other) - base
            measured.add(frozenset((i, j)))
    if not measured:
        raise TaloError("The second sweeps hold no second layer: nothing was paired.")
    i, j = max((sorted(pair) for pair in measured), key=lambda pair: gains[pair[0], pair[1]])
    return Pairs(
        layers=tuple(layers),
        n=len(single.item_ids),
        gains=gains,
        greedy=_greedy(alone, second, seed),
        best=BestPair((layers[i], layers[j]), float(gains[i, j])),
        pairs_evaluated=len(measured),
        layer_evaluations=layer_evaluations,
        seconds=seconds,
    )


def _accuracy(table: ScoreTable, knockout: Knockout | None) -> float:
    return float(right(table)[table.row(knockout)].mean())


def _greedy(
    alone: Mapping[Knockout, float], second: Mapping[Knockout, ScoreTable], seed: int
) -> SecondLayer:
    first = max(alone, key=lambda knockout: (alone[knockout], -knockout.layer))
    if first not in second:
        raise TaloError(
            f"The best single layer is {first.layer}, but no second sweep was run after it. "
            f"Run the pairs sweep with layer {first.layer} first."
        )
    table = second[first]
    others = [k for k in table.variants if k is not None and k.layer != first.layer]
    best = max(others, key=lambda k: (_accuracy(table, k), -k.layer))
    more, ci95, p_value = judged_gain(accuracy_clusters(table, best), seed=seed)
    gain = alone[first]
    return SecondLayer(first.layer, best.layer, gain, gain + more, more, ci95, p_value)


def analyse(runs: Runs) -> Analysed:
    """Of one run: the best layer with all others, or, with `full`, every layer with every other."""
    run = runs.only("pairs")
    table = run.probed
    singles = knockouts_of(table, run.scope, run.fill)
    best = max(singles, key=lambda single: table.accuracy[table.row(single)])
    swept = {
        first: runs.more.second_sweep(
            run.task,
            first,
            # A pair has no order: the other half of the matrix is the same.
            [other for other in singles if other != first and (first == best or other > first)],
        )
        for first in (singles if runs.full else [best])
        if first == best or first != singles[-1]
    }
    result = pairs(
        table,
        {first: after.table for first, after in swept.items()},
        seed=runs.seed,
        layer_evaluations=sum(after.cost.layer_evaluations for after in swept.values()),
        seconds=sum(after.cost.seconds for after in swept.values()),
    )
    title = f"{run.task}: a second layer" + ("" if runs.full else f" after layer {best.layer}")
    return Analysed(result, partial(draw_pairs, result, title=title))


def draw_pairs(result: Pairs, path: Path, *, title: str, svg: bool = False) -> Path:
    """Points; the greedy pair and the best pair are ringed."""
    depth = len(result.layers)
    side = min(8.0, max(4.2, 0.095 * depth))
    shown = 100 * result.gains
    with figure(path, side + 1.9, side + 1.0, title=title, svg=svg) as drawing:
        axes = drawing.add_subplot()
        image = heat_map(axes, shown, origin="lower")
        step = max(1, -(-depth // 16))
        ticks = range(0, depth, step)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(list(ticks), [str(result.layers[i]) for i in ticks])
        at = {layer: i for i, layer in enumerate(result.layers)}
        marks = (
            ((result.greedy.first, result.greedy.second), "s", "greedy"),
            (result.best.layers, "o", "best"),
        )
        for (first, second), marker, name in marks:
            axes.plot([at[second], at[first]], [at[first], at[second]], marker, markersize=8,
                      markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.3,
                      linestyle="none", label=name, clip_on=False)  # fmt: skip
        low, high = result.greedy.ci95
        best = " and ".join(map(str, result.best.layers))
        axes.set_title(
            f"greedy: layers {result.greedy.first} and {result.greedy.second}, "
            f"{points(result.greedy.more)} more than layer {result.greedy.first} alone "
            f"({signed(low)} to {signed(high)})\nbest pair: {best}, "
            f"{points(result.best.gain)} · {result.pairs_evaluated:,} pairs · {result.n} items"
            f"{'' if np.isfinite(shown).all() else ' · grey: not scored'}",
            fontsize=8,
        )
        axes.set_xlabel("decoder layer knocked out")
        axes.set_ylabel("and this one (diagonal: alone)")
        drawing.legend(loc="outside lower center", ncols=2)
        colour_bar(drawing, image, "gain against the base (points)", shrink=0.7, pad=0.02)
    return path
