"""Which tasks are disturbed by the same layers: clusters of interaction vectors.

Distance between two tasks: 1 - Pearson correlation of their vectors (0 the same shape, 1
unrelated, 2 opposite). Hierarchical clustering with average linkage, by default. How much of it
is real is said by three figures: the cophenetic correlation (does the tree keep the distances),
the silhouette (are the clusters apart), and the stability (do they come back when the items of
every task are resampled; adjusted Rand index).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, dendrogram, fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.special import comb

from talo_export.codec import Field, Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.analyses.vectors import (
    InteractionVectors,
    draw_vectors,
    interaction_vectors,
)
from talo_export.evidence.canvas import CHOSEN, NEUTRAL
from talo_export.evidence.differences import Differences, bootstrap
from talo_export.evidence.grid import Array, Grid, correlation
from talo_export.evidence.runs import Analysed, Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINKAGE = "average"
"""Defined for any distance (Ward's needs Euclidean ones)."""
MOST = 8
"""Clusters at most."""


@dataclass(frozen=True)
class ClusteredTask:
    """One task, and the number of its cluster, from 1 in the order of the tree's leaves."""

    task: str
    cluster: int
    n: int


@dataclass(frozen=True)
class Clusters(Recorded):
    """T tasks clustered by their vectors."""

    linkage: str
    tasks: tuple[ClusteredTask, ...]
    """As the leaves of the tree, left to right."""
    clusters: int
    """How many."""
    cophenetic_correlation: float
    silhouette: float
    """Mean over tasks at the number of clusters used; in [-1, 1]."""
    silhouettes: Mapping[int, float]
    """The same for every number of clusters tried."""
    stability: float
    """Mean adjusted Rand index between these clusters and those of resampled items: 1 always the
    same, 0 as good as random."""
    distances: Annotated[Grid, Field(exclude=True)]
    """(T, T) 1 - correlation, tasks as they were given."""
    tree: Annotated[Grid, Field(exclude=True)]
    """(T-1, 4) linkage matrix as SciPy draws it."""

    @derived
    def distance(self) -> str:
        """What lies between two tasks."""
        return "1 - Pearson correlation of the interaction vectors"

    @derived
    def sentence(self) -> str:
        """One sentence for a person."""
        return (
            f"{len(self.tasks)} tasks fall into {self.clusters} clusters ({self.linkage} linkage, "
            f"distance 1 - correlation): silhouette {self.silhouette:.2f}, cophenetic correlation "
            f"{self.cophenetic_correlation:.2f}, stability under other items "
            f"{self.stability:.2f} (1 always the same, 0 as good as random)."
        )


def cluster_tasks(
    sweeps: Mapping[str, Differences], *, seed: int, resamples: int = 200
) -> Clusters:
    """Cluster tasks by the accuracy vectors of their full sweeps, into the number of clusters
    (2 to `MOST`) with the largest silhouette.

    Raises TaloError for fewer than three tasks or sweeps of different layers.
    """
    if len(sweeps) < 3:
        raise TaloError(f"Clustering needs at least three tasks, not {len(sweeps)}.")
    if len({sweep.layers for sweep in sweeps.values()}) > 1:
        raise TaloError(
            "The runs do not cover the same layers, so their vectors cannot be compared. "
            "Use full sweeps of one model."
        )
    vectors = np.stack([sweep.accuracy.mean(axis=0) for sweep in sweeps.values()])
    distance = correlation_distance(vectors)
    tree = _tree(distance)
    tried = range(2, min(MOST, len(sweeps) - 1) + 1)
    silhouettes = {k: silhouette(distance, _cut(tree, k)) for k in tried}
    best = max(silhouettes, key=lambda k: (silhouettes[k], -k))
    order = leaves_list(tree)
    labels = _renumbered(_cut(tree, best), order)
    copheneticity, _ = cophenet(tree, squareform(distance, checks=False))
    names = list(sweeps)
    return Clusters(
        linkage=LINKAGE,
        tasks=tuple(
            ClusteredTask(names[leaf], int(labels[leaf]), sweeps[names[leaf]].n_items)
            for leaf in order
        ),
        clusters=int(labels.max()),
        cophenetic_correlation=float(np.nan_to_num(copheneticity)),
        silhouette=silhouettes[best],
        silhouettes=silhouettes,
        stability=_stability(list(sweeps.values()), labels, best, resamples, seed),
        distances=distance,
        tree=tree,
    )


def correlation_distance(vectors: Array) -> Array:
    """(T, L) vectors -> (T, T) 1 - correlation. A constant vector is unrelated to all others."""
    distance = np.clip(1.0 - correlation(vectors), 0.0, 2.0)
    return (distance + distance.T) / 2


def silhouette(distance: Array, labels: NDArray[np.int64]) -> float:
    """Mean silhouette (Rousseeuw 1987) from a distance matrix; a lone task counts 0."""
    members = labels[:, None] == np.unique(labels)[None, :]
    sizes = members.sum(axis=0)
    sums = distance @ members
    own = members.argmax(axis=1)
    at = np.arange(len(labels))
    own_size = sizes[own]
    within = sums[at, own] / np.maximum(own_size - 1, 1)
    others = np.where(members, np.inf, sums / sizes)
    apart = others.min(axis=1)
    scale = np.maximum(within, apart)
    score = np.where(
        (own_size > 1) & (scale > 0), (apart - within) / np.where(scale > 0, scale, 1), 0
    )
    return float(score.mean())


def adjusted_rand(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Agreement of two clusterings beyond chance (Hubert and Arabie 1985)."""
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)
    pairs = comb(table, 2).sum()
    one, two = comb(table.sum(axis=1), 2).sum(), comb(table.sum(axis=0), 2).sum()
    expected = one * two / comb(len(first), 2)
    most = (one + two) / 2
    return 1.0 if most == expected else float((pairs - expected) / (most - expected))


def _tree(distance: Array) -> Array:
    return linkage(squareform(distance, checks=False), method=LINKAGE)


def _cut(tree: Array, count: int) -> NDArray[np.int64]:
    return fcluster(tree, count, criterion="maxclust").astype(np.int64)


def _renumbered(labels: NDArray[np.int64], order: NDArray) -> NDArray[np.int64]:
    """Number the clusters from 1 as they appear in the tree."""
    numbers: dict[int, int] = {}
    for leaf in order:
        numbers.setdefault(int(labels[leaf]), len(numbers) + 1)
    return np.array([numbers[int(label)] for label in labels], dtype=np.int64)


def _stability(
    sweeps: list[Differences], labels: NDArray[np.int64], count: int, resamples: int, seed: int
) -> float:
    """Recluster after resampling every task's groups."""
    rng = np.random.default_rng(seed)
    vectors = np.stack([_resampled(sweep, resamples, rng) for sweep in sweeps], axis=1)
    agreement = 0.0
    for drawn in vectors:
        agreement += adjusted_rand(labels, _cut(_tree(correlation_distance(drawn)), count))
    return agreement / resamples


def _resampled(sweep: Differences, resamples: int, rng: np.random.Generator) -> Array:
    """(R, L) vectors of bootstrap samples of one task's groups."""
    weights = bootstrap(sweep, resamples, rng)
    return (weights @ sweep.accuracy) / weights.sum(axis=1, keepdims=True)


def analyse(runs: Runs) -> Analysed:
    """Of three runs or more."""
    result = cluster_tasks(runs.sweeps(), seed=runs.seed)
    vectors = interaction_vectors(runs.probed())
    title = f"Tasks by correlation of their vectors, {result.linkage} linkage"
    return Analysed(result, partial(draw_clusters, vectors, result, title=title))


def draw_clusters(
    vectors: InteractionVectors,
    clusters: Clusters,
    path: Path,
    *,
    title: str,
    tree: bool = True,
    svg: bool = False,
) -> Path:
    """The heat map in the order of the tree, lines between clusters, the tree at the left."""
    return draw_vectors(
        vectors,
        path,
        title=title,
        order=[leaf.task for leaf in clusters.tasks],
        groups=[leaf.cluster for leaf in clusters.tasks],
        draw_left=partial(_draw_tree, clusters) if tree else None,
        svg=svg,
    )


def _draw_tree(clusters: Clusters, axes: Axes) -> None:
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
        f"{clusters.clusters} clusters, {clusters.linkage} linkage\n"
        f"cophenetic {clusters.cophenetic_correlation:.2f}\nsilhouette {clusters.silhouette:.2f}\n"
        f"stability {clusters.stability:.2f}",
        fontsize=6.5,
    )


def _cut_height(clusters: Clusters) -> float:
    """A height between the last join inside clusters and the first across them."""
    heights = np.sort(clusters.tree[:, 2])
    across = clusters.clusters - 1
    inside = heights[-across - 1] if across < len(heights) else 0.0
    return float((inside + heights[-across]) / 2)
