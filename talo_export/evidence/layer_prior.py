"""What earlier runs on the same model say about its layers, before a new task is probed.

Empirical Bayes, layer by layer: the gains of layer l over earlier tasks are taken as draws from a
normal distribution whose mean and spread are estimated by the method of moments (the spread of
the observed gains minus what their sampling errors explain; DerSimonian and Laird 1986). A new
task's measured gain is then shrunk towards that mean, the more the fewer items it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.evidence.criteria import LayerMoments, Moment
from talo_export.evidence.differences import Differences

Array = NDArray[np.float64]

OWN_VARIANCE_COUNTS_FROM = 10
"""Items at which a new task's own variance weighs as much as that of the earlier tasks."""


@dataclass(frozen=True)
class LayerPrior:
    """Distribution of each layer's true gain on a task not seen yet; arrays are (L,)."""

    measure: str
    layers: tuple[int, ...]
    mean: Array
    variance: Array
    """Of a new task's true gain: between tasks, plus the uncertainty of `mean`."""
    within: Array
    """Variance of one item's difference, averaged over the earlier tasks."""
    n_tasks: int

    def take(self, columns: Sequence[int]) -> LayerPrior:
        """The prior of some layers, by position."""
        kept = list(columns)
        return replace(
            self,
            layers=tuple(self.layers[column] for column in kept),
            mean=self.mean[kept],
            variance=self.variance[kept],
            within=self.within[kept],
        )


def fit_prior(sweeps: Sequence[Differences], measure: str) -> LayerPrior:
    """Fit to full sweeps of other tasks on the same model.

    Raises TaloError for fewer than two tasks, for sweeps of different layers, and where one of
    them lacks the measure.
    """
    if len(sweeps) < 2:
        raise TaloError(
            f"A prior over layers needs at least two earlier runs, not {len(sweeps)}. "
            "Name more runs with --prior, or none."
        )
    if len({sweep.layers for sweep in sweeps}) > 1:
        raise TaloError(
            "The earlier runs do not cover the same layers, so they cannot form one prior. "
            "Use full sweeps of the same model."
        )
    values = [sweep.measures().get(measure) for sweep in sweeps]
    if any(value is None for value in values):
        raise TaloError(
            f"An earlier run has no {measure} scores (only text was generated). "
            "Use runs probed with --scoring likelihood, or the accuracy criterion."
        )
    known = [value for value in values if value is not None]
    gains = np.stack([value.mean(axis=0) for value in known])
    spreads = np.stack([value.var(axis=0, ddof=1) for value in known])
    errors = spreads / np.array([[len(value)] for value in known])
    count = len(known)
    between = np.maximum(gains.var(axis=0, ddof=1) - errors.mean(axis=0), 0.0)
    return LayerPrior(
        measure=measure,
        layers=sweeps[0].layers,
        mean=gains.mean(axis=0),
        variance=between + (between + errors.mean(axis=0)) / count,
        within=spreads.mean(axis=0),
        n_tasks=count,
    )


def with_prior(moments: LayerMoments, prior: LayerPrior) -> LayerMoments:
    """The moments with the prior's measure replaced by its posterior mean and deviation.

    `moments` are (..., L) over the prior's layers.
    """
    own: Moment | None = getattr(moments, prior.measure)
    if own is None:
        raise TaloError(
            f"The prior is about {prior.measure}, which these scores do not have: "
            "only text was generated."
        )
    n = np.maximum(moments.n, 1.0)
    # The variance among ten differences is itself a guess: lean on the earlier tasks' as well.
    ours = np.nan_to_num(own.error**2 * n)
    known = np.where(n > 1, n, 0.0)
    variance = (known * ours + OWN_VARIANCE_COUNTS_FROM * prior.within) / (
        known + OWN_VARIANCE_COUNTS_FROM
    )
    evidence = n / np.maximum(variance, 1e-12)
    belief = 1.0 / np.maximum(prior.variance, 1e-12)
    posterior = Moment(
        mean=(evidence * own.mean + belief * prior.mean) / (evidence + belief),
        error=np.sqrt(1.0 / (evidence + belief)),
    )
    if prior.measure == "accuracy":
        return replace(moments, accuracy=posterior)
    if prior.measure == "probability":
        return replace(moments, probability=posterior)
    return replace(moments, margin=posterior)
