"""Anytime-valid evidence that a finite set's total stays below a bound, from items drawn at random.

N numbers are read in an order drawn at random. Claimed is that their total B is at least b. After t
of them, let B^ estimate the total: N times the mean, and where the numbers' *classes* are known for
the whole set (which choice is the right one), adjusted for the classes that came up too often so
far, the regression estimator of survey sampling. Then

    (B^ - b) t / (N - t)  at the clock  s = t N / (N - t)

behaves like a Brownian motion with drift (B - b) / N, in units of the residuals' standard
deviation: the bridge from 0 to the whole set's total, with its clock changed. Under the claim the
drift is not negative. Mixing the motion's exponential supermartingales over negative drifts, normal
with variance r and cut at 0,

    e = 2 / sqrt(1 + r s) * exp(y^2 / 2) * Phi(y),
    y = (b - B^) t / (N - t) / sd * sqrt(r / (1 + r s))

starts at 1 and does not grow in expectation. So does any weighted average of such e for numbers
that depend on each other in whatever way, and by Ville's inequality it ever reaches 1 / a with
probability a at most. Values are kept as logarithms.

The motion is a limit, as in the asymptotic confidence sequences of Waudby-Smith et al. (Annals of
Statistics 52, 2024). It fails where a few far-off numbers make the total and none of them has come
up yet, so one more residual is added to the sum behind sd, of a size that the caller knows can
occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

DRIFT = 16.0
"""r = DRIFT / N: tests that are most sensitive to what a third to a half of the items show."""
MOST_CLASSES = 6
"""A class takes a degree of freedom from the residuals of the first twenty items."""
LEAST_IN_CLASS = 3
"""Items of the whole set that a class must have to be one."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The first `seen` of `total` numbers each: estimated totals, and what is left around them."""

    seen: int
    total: int
    estimate: Array
    """(K,) estimates of the whole set's totals."""
    residual: Array
    """(K, seen) numbers less what their class explains."""
    free: int
    """Degrees of freedom of the residuals."""

    def against_at_least(self, bound: Array | float, smallest: float = 0.0) -> Array:
        """(K,) log e for "the total is at least `bound`"."""
        return self._log_value(bound - self.estimate, self._spread(self.residual, smallest))

    def against_at_most(self, bound: Array | float, smallest: float = 0.0) -> Array:
        """(K,) log e for "the total is at most `bound`"."""
        return self._log_value(self.estimate - bound, self._spread(self.residual, smallest))

    def against_no_less(self, smallest: float = 0.0) -> Array:
        """(K, K) log e for "the row's total is no less than the column's"."""
        apart = self.residual[None, :, :] - self.residual[:, None, :]
        behind = self.estimate[None, :] - self.estimate[:, None]
        return self._log_value(behind, self._spread(apart, smallest))

    def _spread(self, residual: Array, smallest: float) -> Array:
        """sd of the residuals along the last axis, one more of their or the given size added."""
        squares = (residual**2).sum(axis=-1)
        more = np.maximum(squares / self.seen, smallest**2)
        spread: Array = np.sqrt((squares + more) / self.free)
        return spread

    def _log_value(self, behind: Array, spread: Array) -> Array:
        clock = self.seen * self.total / (self.total - self.seen)
        grown = 1.0 + DRIFT / self.total * clock
        motion = behind * self.seen / (self.total - self.seen)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Numbers that never differed say nothing.
            moved = np.where(spread > 0, motion / spread, 0.0)
        y = moved * np.sqrt(DRIFT / self.total / grown)
        value: Array = np.log(2.0) - np.log(grown) / 2.0 + y**2 / 2.0 + log_ndtr(y)
        return value


def drawn(numbers: Array, classes: Array) -> Drawn:
    """(K, t) numbers of the first t items, 1 < t < N; `classes` (N, C) as of `class_columns`."""
    seen, total = numbers.shape[1], len(classes)
    mean = numbers.mean(axis=1, keepdims=True)
    residual, estimate = numbers - mean, total * mean[:, 0]
    if classes.shape[1]:
        centre = classes[:seen].mean(axis=0)
        known = classes[:seen] - centre
        # As if each class had been seen as expected in one item more: none is ever singular.
        gram = known.T @ known + np.diag(classes.var(axis=0))
        slopes = np.linalg.solve(gram, known.T @ residual.T)
        residual = residual - (known @ slopes).T
        estimate = estimate + (classes - centre).sum(axis=0) @ slopes
    return Drawn(seen, total, estimate, residual, seen - 1 - classes.shape[1])


def class_columns(labels: Sequence[str]) -> Array:
    """(N, C) indicators of the labels that are classes; no columns where most items are in none."""
    large = [one for one in sorted(set(labels)) if labels.count(one) >= LEAST_IN_CLASS]
    inside = sum(labels.count(one) for one in large)
    if len(large) > MOST_CLASSES or 2 * inside < len(labels):
        return np.zeros((len(labels), 0))
    # Where every item is in a class, the last one is what the others are not.
    named = large if inside < len(labels) else large[:-1]
    return np.array([[float(label == one) for one in named] for label in labels])
