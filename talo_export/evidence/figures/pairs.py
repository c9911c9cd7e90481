"""The pair matrix: gains of two layers out, singles on the diagonal."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talo_export.evidence.analyses.pairs import Pairs
from talo_export.evidence.figures.canvas import DIVERGING, INK, figure, symmetric_limit


def draw_pairs(found: Pairs, path: Path, *, title: str, svg: bool = False) -> Path:
    """Points; the greedy pair and the best pair are ringed."""
    depth = len(found.layers)
    side = min(8.0, max(4.2, 0.095 * depth))
    points = 100 * found.gains
    limit = symmetric_limit(points)
    with figure(path, side + 1.9, side + 1.0, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = drawing.add_subplot()
        image = axes.imshow(points, cmap=DIVERGING, vmin=-limit, vmax=limit, origin="lower")
        step = max(1, -(-depth // 16))
        ticks = range(0, depth, step)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(list(ticks), [str(found.layers[i]) for i in ticks])
        at = {layer: i for i, layer in enumerate(found.layers)}
        marks = (
            ((found.greedy.first, found.greedy.second), "s", "greedy"),
            (found.best, "o", "best"),
        )
        for (first, second), marker, name in marks:
            axes.plot([at[second], at[first]], [at[first], at[second]], marker, markersize=8,
                      markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.3,
                      linestyle="none", label=name, clip_on=False)  # fmt: skip
        low, high = (100 * bound for bound in found.greedy.interval)
        axes.set_title(
            f"greedy: layers {found.greedy.first} and {found.greedy.second}, "
            f"{100 * found.greedy.more:+.1f} points more than layer {found.greedy.first} alone "
            f"({low:+.1f} to {high:+.1f})\nbest pair: {found.best[0]} and {found.best[1]}, "
            f"{100 * found.best_gain:+.1f} points · {found.evaluated:,} pairs · {found.n} items"
            f"{'' if np.isfinite(points).all() else ' · grey: not scored'}",
            fontsize=8,
        )
        axes.set_xlabel("decoder layer knocked out")
        axes.set_ylabel("and this one (diagonal: alone)")
        drawing.legend(loc="outside lower center", ncols=2)
        bar = drawing.colorbar(image, ax=axes, shrink=0.7, extend="both", pad=0.02)
        bar.set_label("gain against the base (points)", fontsize=8)
        bar.outline.set_visible(False)
    return path
