"""Fills or modules side by side: do they agree, and which finds more?"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from talo_export.evidence.analyses.alternatives import Alternatives
from talo_export.evidence.figures.canvas import (
    CHOSEN,
    FAINT,
    GAIN,
    INK,
    NEUTRAL,
    figure,
    zero_line,
)


def draw_alternatives(found: Alternatives, path: Path, *, title: str, svg: bool = False) -> Path:
    """A scatter of task-layer pairs for each two, then the gain each finds."""
    couples = list(combinations(range(len(found.names)), 2))
    with figure(path, 2.5 * (len(couples) + 1), 3.3, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        panels = drawing.subplots(1, len(couples) + 1)
        reach = 100 * float(np.abs(found.gains).max()) * 1.05 + 1
        for axes, (a, b) in zip(panels[:-1], couples, strict=True):
            axes.grid(color=FAINT, linewidth=0.6, zorder=0)
            axes.plot([-reach, reach], [-reach, reach], color=NEUTRAL, linewidth=0.7, zorder=1)
            _draw_points(axes, 100 * found.gains[a].ravel(), 100 * found.gains[b].ravel())
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.set_box_aspect(1)
            axes.set_xlabel(f"{found.names[a]}: gain (points)")
            axes.set_ylabel(f"{found.names[b]}: gain (points)", labelpad=0)
            axes.set_title(f"r = {found.correlation[a, b]:.2f}", fontsize=8.5)
        last = panels[-1]
        at = np.arange(len(found.names))
        last.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        last.bar(at - 0.2, [100 * one.best_gain for one in found.alternatives], width=0.36,
                 color="#BBBBBB", label="best layer (optimistic)", zorder=2)  # fmt: skip
        last.bar(at + 0.2, [100 * one.cross_validated_gain for one in found.alternatives],
                 width=0.36, color=CHOSEN, label="cross-validated", zorder=2)  # fmt: skip
        zero_line(last)
        last.set_xticks(at)
        last.set_xticklabels(found.names, color=INK)
        last.set_ylabel("mean gain over tasks (points)")
        top = max(100 * one.best_gain for one in found.alternatives)
        last.set_ylim(top=max(1.0, 1.45 * top))
        last.legend(loc="upper right", fontsize=7)
        tasks = len(found.tasks)
        last.set_title(
            f"{tasks} task{'' if tasks == 1 else 's'}, {sum(found.n):,} items, "
            f"{len(found.layers)} layers",
            fontsize=8.5,
        )
    return path


def _draw_points(axes: Axes, across: NDArray[np.float64], up: NDArray[np.float64]) -> None:
    """Accuracies come in steps, so that thousands of pairs lie on few points: more are darker."""
    (x, y), counts = np.unique(np.round([across, up], 6), axis=1, return_counts=True)
    weight = np.log1p(counts) / np.log1p(max(counts.max(), 4))
    axes.scatter(x, y, s=7, color=GAIN, alpha=0.2 + 0.8 * weight, linewidths=0, zorder=2)
