"""Interaction vectors as a heat map, tasks sorted by cluster; the dendrogram beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram

from talo_export.evidence.analyses.clusters import Clusters
from talo_export.evidence.analyses.vectors import InteractionVectors
from talo_export.evidence.figures.canvas import (
    CHOSEN,
    DIVERGING,
    INK,
    NEUTRAL,
    figure,
    shortened,
    symmetric_limit,
)


def draw_heatmap(
    vectors: InteractionVectors,
    path: Path,
    *,
    title: str,
    clusters: Clusters | None = None,
    tree: bool = True,
    svg: bool = False,
) -> Path:
    """Tasks x layers in points, blue gains, vermilion losses; a ring marks each task's best layer.

    With `clusters` the tasks stand in the order of its tree, lines between the clusters, and the
    tree is drawn at the left unless `tree` is False; without, in the order given.
    """
    count, depth = vectors.gains.shape
    order = list(range(count))
    if clusters is not None:
        place = {task: i for i, task in enumerate(vectors.tasks)}
        order = [place[clusters.tasks[leaf]] for leaf in clusters.order]
    points = 100 * vectors.gains[order]
    height = 2.1 + max(0.14 * count, 0.26 * min(count, 12))
    width = 4.6 + max(0.085 * depth, 0.2 * min(depth, 20)) + (0.9 if clusters and tree else 0)
    with figure(path, width, height, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        if clusters is not None and tree:
            left, axes = drawing.subplots(1, 2, width_ratios=[0.9, width - 3.4])
            _draw_tree(left, clusters)
        else:
            axes = drawing.add_subplot()
        _draw_cells(axes, vectors, points, order)
        if clusters is not None:
            _draw_borders(axes, [clusters.labels[leaf] for leaf in clusters.order])
        image = axes.images[0]
        bar = drawing.colorbar(
            image, ax=axes, location="bottom", extend="both", aspect=40, shrink=0.6,
            pad=0.12 / height,
        )  # fmt: skip
        grey = "" if np.isfinite(points).all() else "; grey: not measured"
        bar.set_label(
            "gain in accuracy when the layer is knocked out (points)\n"
            f"ring: the task's best layer; in brackets: items{grey}",
            fontsize=8,
        )
        bar.outline.set_visible(False)
    return path


def _draw_cells(
    axes: Axes, vectors: InteractionVectors, points: NDArray[np.float64], order: list[int]
) -> None:
    limit = symmetric_limit(points)
    axes.imshow(points, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto",
                interpolation="nearest")  # fmt: skip
    depth = len(vectors.layers)
    best = np.where(np.isfinite(points), points, -np.inf).argmax(axis=1)
    gains = points[np.arange(len(order)), best] > 0
    axes.plot(best[gains], np.flatnonzero(gains), "o", markersize=3.2, markerfacecolor="none",
              markeredgecolor=INK, markeredgewidth=0.8)  # fmt: skip
    size = 8 if len(order) <= 40 else 6.5
    axes.set_yticks(range(len(order)))
    axes.set_yticklabels(
        [f"{shortened(vectors.tasks[t])} ({vectors.n[t]})" for t in order], fontsize=size
    )
    axes.yaxis.tick_right()
    step = max(1, int(np.ceil(depth / 20)))
    axes.set_xticks(range(0, depth, step))
    axes.set_xticklabels([str(layer) for layer in vectors.layers[::step]])
    axes.tick_params(length=2)
    axes.set_xlabel("decoder layer knocked out")
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_borders(axes: Axes, labels: list[int]) -> None:
    for position in range(1, len(labels)):
        if labels[position] != labels[position - 1]:
            axes.axhline(position - 0.5, color=INK, linewidth=1.1)


def _draw_tree(axes: Axes, clusters: Clusters) -> None:
    """The dendrogram, leaves in line with the rows of the heat map."""
    threshold = _cut_height(clusters)
    drawn = dendrogram(clusters.tree, no_plot=True)
    for heights, leaves in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        colour = CHOSEN if max(heights) < threshold else NEUTRAL
        axes.plot(heights, [(leaf - 5) / 10 for leaf in leaves], color=colour, linewidth=0.9)
    axes.set_ylim(len(clusters.tasks) - 0.5, -0.5)
    axes.invert_xaxis()
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=6.5)
    axes.set_xlabel("1 - correlation", fontsize=7)
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(
        f"{clusters.count} clusters, {clusters.linkage} linkage\n"
        f"cophenetic {clusters.cophenetic:.2f}\nsilhouette {clusters.silhouette:.2f}\n"
        f"stability {clusters.stability:.2f}",
        fontsize=6.5,
    )


def _cut_height(clusters: Clusters) -> float:
    """A height between the last join inside clusters and the first across them."""
    heights = np.sort(clusters.tree[:, 2])
    across = clusters.count - 1
    inside = heights[-across - 1] if across < len(heights) else 0.0
    return float((inside + heights[-across]) / 2)
