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
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.special import comb

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.differences import Differences

Array = NDArray[np.float64]
Linkage = Literal["average", "complete", "single"]
"""Linkages that are defined for any distance (Ward's needs Euclidean ones)."""


@dataclass(frozen=True)
class Clusters:
    """T tasks clustered by their vectors."""

    tasks: tuple[str, ...]
    n: tuple[int, ...]
    linkage: Linkage
    distance: Array
    """(T, T) 1 - correlation."""
    tree: Array
    """(T-1, 4) linkage matrix as SciPy draws it."""
    order: tuple[int, ...]
    """Tasks as the leaves of the tree, left to right."""
    labels: tuple[int, ...]
    """Cluster of each task, numbered from 1 in the order of the leaves."""
    cophenetic: float
    silhouette: float
    """Mean over tasks at the number of clusters used; in [-1, 1]."""
    silhouettes: dict[int, float]
    """The same for every number of clusters tried."""
    stability: float
    """Mean adjusted Rand index between these clusters and those of resampled items: 1 always the
    same, 0 as good as random."""
    together: Array
    """(T, T) share of the resamples in which two tasks fell into one cluster."""

    @property
    def count(self) -> int:
        """Number of clusters."""
        return max(self.labels)

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        return (
            f"{len(self.tasks)} tasks fall into {self.count} clusters ({self.linkage} linkage, "
            f"distance 1 - correlation): silhouette {self.silhouette:.2f}, cophenetic correlation "
            f"{self.cophenetic:.2f}, stability under other items {self.stability:.2f} "
            "(1 always the same, 0 as good as random)."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sentence": self.sentence,
            "linkage": self.linkage,
            "distance": "1 - Pearson correlation of the interaction vectors",
            "tasks": [
                {"task": self.tasks[i], "cluster": self.labels[i], "n": self.n[i]}
                for i in self.order
            ],
            "clusters": self.count,
            "cophenetic_correlation": self.cophenetic,
            "silhouette": self.silhouette,
            "silhouettes": {str(k): value for k, value in self.silhouettes.items()},
            "stability": self.stability,
        }


def cluster_tasks(
    sweeps: Mapping[str, Differences],
    *,
    seed: int,
    link: Linkage = "average",
    count: int | None = None,
    resamples: int = 200,
) -> Clusters:
    """Cluster tasks by the accuracy vectors of their full sweeps.

    `count` clusters, or the number (2 to 8) with the largest silhouette. Raises TaloError for
    fewer than three tasks or sweeps of different layers.
    """
    if len(sweeps) < 3:
        raise TaloError(f"Clustering needs at least three tasks, not {len(sweeps)}.")
    if len({sweep.layers for sweep in sweeps.values()}) > 1:
        raise TaloError(
            "The runs do not cover the same layers, so their vectors cannot be compared. "
            "Use full sweeps of one model."
        )
    if count is not None and not 2 <= count < len(sweeps):
        raise UsageError(f"{count} clusters of {len(sweeps)} tasks: use 2 to {len(sweeps) - 1}.")
    vectors = np.stack([sweep.accuracy.mean(axis=0) for sweep in sweeps.values()])
    distance = correlation_distance(vectors)
    flat = squareform(distance, checks=False)
    tree = linkage(flat, method=link)
    tried = [count] if count else list(range(2, min(8, len(sweeps) - 1) + 1))
    silhouettes = {k: silhouette(distance, _cut(tree, k)) for k in tried}
    best = max(silhouettes, key=lambda k: (silhouettes[k], -k))
    order = leaves_list(tree)
    labels = _renumbered(_cut(tree, best), order)
    stability, together = _stability(list(sweeps.values()), labels, best, link, resamples, seed)
    copheneticity, _ = cophenet(tree, flat)
    return Clusters(
        tasks=tuple(sweeps),
        n=tuple(sweep.n_items for sweep in sweeps.values()),
        linkage=link,
        distance=distance,
        tree=tree,
        order=tuple(order.tolist()),
        labels=tuple(labels.tolist()),
        cophenetic=float(np.nan_to_num(copheneticity)),
        silhouette=silhouettes[best],
        silhouettes=silhouettes,
        stability=stability,
        together=together,
    )


def correlation_distance(vectors: Array) -> Array:
    """(T, L) vectors -> (T, T) 1 - correlation. A constant vector is unrelated to all others."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(length > 1e-12, length, 1.0)[:, None]
    distance = np.clip(1.0 - unit @ unit.T, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
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


def _cut(tree: Array, count: int) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = fcluster(tree, count, criterion="maxclust").astype(np.int64)
    return labels


def _renumbered(labels: NDArray[np.int64], order: NDArray) -> NDArray[np.int64]:
    """Number the clusters from 1 as they appear in the tree."""
    numbers: dict[int, int] = {}
    for leaf in order:
        numbers.setdefault(int(labels[leaf]), len(numbers) + 1)
    return np.array([numbers[int(label)] for label in labels], dtype=np.int64)


def _stability(
    sweeps: list[Differences],
    labels: NDArray[np.int64],
    count: int,
    link: Linkage,
    resamples: int,
    seed: int,
) -> tuple[float, Array]:
    """Recluster after resampling every task's groups."""
    rng = np.random.default_rng(seed)
    vectors = np.stack([_resampled(sweep, resamples, rng) for sweep in sweeps], axis=1)
    agreement, together = 0.0, np.zeros((len(sweeps), len(sweeps)))
    for drawn in vectors:
        tree = linkage(squareform(correlation_distance(drawn), checks=False), method=link)
        again = _cut(tree, count)
        agreement += adjusted_rand(labels, again)
        together += again[:, None] == again[None, :]
    return agreement / resamples, together / resamples


def _resampled(sweep: Differences, resamples: int, rng: np.random.Generator) -> Array:
    """(R, L) vectors of bootstrap samples of one task's groups."""
    groups = sweep.n_groups
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)[:, sweep.members]
    means: Array = (weights @ sweep.accuracy) / weights.sum(axis=1, keepdims=True)
    return means
