"""Every layer's gain on every task, tasks sorted by cluster where there are enough."""

from __future__ import annotations

from functools import partial

from talo_export.evidence.analyses.clusters import cluster_tasks, draw_clusters
from talo_export.evidence.analyses.vectors import draw_vectors, interaction_vectors
from talo_export.evidence.runs import Analysed, Runs


def analyse(runs: Runs) -> Analysed:
    """Of one run or many."""
    vectors, sweeps = interaction_vectors(runs.probed()), runs.sweeps()
    title = "Task-layer interaction"
    # Runs of other layers have no correlations to sort by.
    if len(sweeps) < 3 or len({sweep.layers for sweep in sweeps.values()}) > 1:
        return Analysed(vectors, partial(draw_vectors, vectors, title=title))
    clusters = cluster_tasks(sweeps, seed=runs.seed, resamples=1)
    title += ", tasks sorted by cluster"
    return Analysed(vectors, partial(draw_clusters, vectors, clusters, title=title, tree=False))
