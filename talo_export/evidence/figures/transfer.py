"""The transfer matrix: row chose the layer, column is judged on unseen items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from talo_export.evidence.analyses.transfer import Transfer
from talo_export.evidence.figures.canvas import (
    DIVERGING,
    INK,
    figure,
    shortened,
    symmetric_limit,
)

MOST_NUMBERED = 16
"""Up to this many tasks the gain stands in each cell."""


def draw_transfer(found: Transfer, path: Path, *, title: str, svg: bool = False) -> Path:
    """Gains in points; a dot marks a gain or loss whose interval excludes 0."""
    count = len(found.tasks)
    points = 100 * found.gains
    limit = symmetric_limit(points)
    cell = 0.42 if count <= MOST_NUMBERED else max(0.13, 6.5 / count)
    width, height = 3.6 + cell * count, 3.0 + cell * count
    with figure(path, max(width, 6.2), max(height, 4.2), svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = drawing.add_subplot()
        image = axes.imshow(points, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        size = 8 if count <= 40 else 6
        labels = [shortened(task, 28) for task in found.tasks]
        chosen = ["base" if layer is None else f"layer {layer}" for layer in found.layers]
        axes.set_yticks(range(count))
        axes.set_yticklabels(
            [f"{label} · {layer}" for label, layer in zip(labels, chosen, strict=True)],
            fontsize=size,
        )
        axes.set_xticks(range(count))
        axes.set_xticklabels(labels, rotation=90, fontsize=size)
        axes.tick_params(length=2)
        for side in axes.spines.values():
            side.set_visible(False)
        for a in range(count):
            for b in range(count):
                verdict = found.verdicts[a][b]
                if verdict is None:
                    continue
                certain = verdict in ("confirmed", "harmful")
                if count <= MOST_NUMBERED:
                    strong = abs(points[a, b]) > 0.75 * limit
                    axes.text(b, a, _signed(found.gains[a, b]), ha="center", va="center",
                              fontsize=7, color="white" if strong else INK,
                              fontweight="bold" if certain else "normal")  # fmt: skip
                elif certain:
                    axes.plot([b], [a], ".", color=INK, markersize=2.5)
        for own in range(count):
            axes.add_patch(Rectangle((own - 0.5, own - 0.5), 1, 1, fill=False, edgecolor=INK,
                                     linewidth=1.0 if count <= 40 else 0.5))  # fmt: skip
        axes.set_xlabel("applied to, unseen items only", fontsize=8.5)
        axes.set_ylabel("layer chosen on", fontsize=8.5)
        mark = "bold" if count <= MOST_NUMBERED else "dot"
        known = found.n[found.n > 0]
        items = _items(known)
        axes.set_title(
            f"own task {_signed(found.own)}, other tasks {_signed(found.abroad)} points on average"
            f" · {items}\n{mark}: 95 % interval excludes 0 · framed: own task · grey: not scored",
            fontsize=8.5,
        )
        bar = drawing.colorbar(
            image, ax=axes, shrink=min(0.6, 3.5 / height), aspect=25, extend="both", pad=0.01
        )
        bar.set_label("gain (points)", fontsize=8)
        bar.outline.set_visible(False)
    return path


def _items(known: NDArray[np.int64]) -> str:
    if not len(known):
        return "no cell measured"
    least, most = int(known.min()), int(known.max())
    return f"{most} items a cell" if least == most else f"{least} to {most} items a cell"


def _signed(share: float) -> str:
    if np.isnan(share):
        return "unknown"
    return f"{100 * share:+.1f}" if round(100 * share, 1) else "0"
