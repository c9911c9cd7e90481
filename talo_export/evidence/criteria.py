"""What makes a layer the best one: criteria, as functions of paired moments.

A criterion sees only means and standard errors of the differences to the base, in arrays that may
carry leading dimensions. One probing set is the case without them; a study of thousands of
resampled probing sets runs the very same code on thousands of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moment:
    """Mean difference to the base and its standard error, both (..., L); NaN where unknown."""

    mean: Array
    error: Array

    @property
    def t(self) -> Array:
        """mean / error; where every difference is the same, +-inf by the mean's sign (0 if 0)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.mean / self.error
        return np.where((self.error == 0) & (self.mean == 0), 0.0, ratio)


@dataclass(frozen=True, slots=True)
class LayerMoments:
    """Differences of every layer's knockout to the base on one probing set (or many).

    `accuracy` and `probability` are shares, `margin` is in nats; the last two are None where only
    text was generated.
    """

    accuracy: Moment
    probability: Moment | None
    margin: Moment | None


RANKED = {
    "accuracy": "accuracy",
    "probability": "the right choice's probability",
    "margin": "the margin over the best wrong choice",
}
"""The measures, in words."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """How layers are ranked, and what a layer must reach to be chosen at all.

    A layer is admissible when its mean exceeds 0, its t exceeds `min_t`, and accuracy gains more
    than `accuracy_asked` says; the admissible layer with the highest mean is chosen.
    """

    name: str
    measure: str
    """`accuracy`, `probability` or `margin`: the field of `LayerMoments` that is ranked."""
    min_t: float = -np.inf
    least_accuracy: float | None = None
    """What the gain in accuracy (a share) must exceed where something else is ranked."""

    @property
    def says(self) -> str:
        """Completes "chosen by ...", for the sentence a person reads."""
        says = RANKED[self.measure]
        if np.isfinite(self.min_t):
            says += f", where its paired t exceeds {self.min_t:g}"
        if self.least_accuracy is not None:
            says += f" and accuracy {'gains too' if self.least_accuracy >= 0 else 'does not fall'}"
        return says

    def accuracy_asked(self, min_gain: float | None) -> float | None:
        """The gain in accuracy (a share) that a layer must exceed; None where none is asked.

        A `min_gain` holds under every criterion. Without one, criteria that rank accuracy ask for
        any gain, the others for what their `least_accuracy` says.
        """
        if min_gain is not None:
            return min_gain
        return 0.0 if self.measure == "accuracy" else self.least_accuracy

    def moment(self, moments: LayerMoments) -> Moment | None:
        """The moment this criterion ranks; None where the scores for it do not exist."""
        return getattr(moments, self.measure)

    @property
    def needs_scores(self) -> bool:
        """Whether it needs log-likelihoods of the choices, not just generated text."""
        return self.measure != "accuracy"


DEFAULT_CRITERION = "auto"
"""`WITH_SCORES` where every item has scored choices, else `accuracy`."""

WITH_SCORES = "kept-t"
"""The criterion that did best where choices are scored: examples/selection_study."""

KEPT = -1e-9
"""Accuracy does not fall: a single answer weighs more than this."""

CRITERIA: Mapping[str, Criterion] = {
    criterion.name: criterion
    for criterion in (
        Criterion("accuracy", "accuracy"),
        Criterion("accuracy-t", "accuracy", 2.0),
        Criterion("probability", "probability"),
        Criterion("probability-t", "probability", 2.0),
        Criterion("gain-t", "margin", 1.0, least_accuracy=0.0),
        Criterion("gain-bounded", "probability", 1.0, least_accuracy=0.0),
        Criterion("margin", "margin"),
        Criterion("margin-t", "margin", 2.0),
        Criterion("kept-t", "margin", 2.0, least_accuracy=KEPT),
    )
}


def criterion_of(name: str) -> Criterion:
    """The criterion of this name. Raises UsageError where there is none."""
    if name not in CRITERIA:
        names = ", ".join((DEFAULT_CRITERION, *CRITERIA))
        raise UsageError(f"Unknown selection criterion {name!r}. Choose one of: {names}.")
    return CRITERIA[name]


def choose(
    criterion: Criterion,
    moments: LayerMoments,
    allowed: NDArray[np.bool_] | None = None,
    min_gain: float | None = None,
) -> NDArray[np.int64]:
    """Index of the chosen layer along the last axis, -1 for "keep the base"; shape (...).

    Ties go to the larger margin gain, then to the larger probability gain, and to the smaller
    index only when those are equal or unknown. `allowed` is (..., L) or (L,), None for every
    layer; `min_gain` is a share of accuracy.
    """
    moment = criterion.moment(moments)
    if moment is None:
        raise ValueError(f"criterion {criterion.name!r} needs scores this table does not have")
    with np.errstate(invalid="ignore"):
        open_ = moment.t > criterion.min_t
        if allowed is not None:
            open_ = open_ & allowed
        if criterion.measure != "accuracy":
            open_ = open_ & (moment.mean > 0)
        least = criterion.accuracy_asked(min_gain)
        if least is not None:
            open_ = open_ & (moments.accuracy.mean > least)
    for ranked in (moment, moments.margin, moments.probability):
        if ranked is None:
            continue
        masked = np.where(open_, np.nan_to_num(ranked.mean, nan=-np.inf), -np.inf)
        best = masked.max(axis=-1, keepdims=True)
        # Sums of the same numbers in another order differ in the last bits: those are ties.
        slack = np.where(np.isfinite(best), 1e-12 * np.maximum(1.0, np.abs(best)), 0.0)
        open_ = open_ & (masked >= best - slack)
    return np.where(open_.any(axis=-1), open_.argmax(axis=-1), -1)
