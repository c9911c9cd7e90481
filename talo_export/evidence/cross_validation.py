"""Tasks too small to be split: what is the chosen layer worth, when all items chose it?

The gain on the items that chose the layer is too high: it is the largest of many noisy numbers.
Two answers, neither of which judges a choice by the items that made it:

- `gain`, by repeated cross-validation: the rule chooses on all folds but one and is judged on
  the fold it did not see, over and over. That is what the *procedure* gains, choice included; in
  simulations with planted gains it is unbiased within a point.
- `interval`, for the layer chosen on all items: its lower limit holds for all layers at once
  (`layer_tests`), hence also for whichever was chosen; its upper limit is the ordinary one, since
  choosing the largest cannot make a gain look too small. Intervals from the spread over folds are
  not given: in the same simulations they covered 85 % where they promised 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Recorded, derived
from talo_export.errors import UsageError
from talo_export.evidence.criteria import CRITERIA
from talo_export.evidence.differences import Differences, choice_of_all, choices
from talo_export.evidence.layer_tests import correct_over_layers
from talo_export.evidence.paired import RESAMPLES, Clusters, gain_interval
from talo_export.wording import points, signed


@dataclass(frozen=True)
class CrossValidated(Recorded):
    """Shares. `layer` is the choice on all items; None keeps the base."""

    layer: int | None
    n: int
    folds: int
    repeats: int
    apparent_gain: float
    """Gain of the chosen layer on the items that chose it (0 for the base): optimistic."""
    gain: float
    """Cross-validated gain of the whole procedure, choice included."""
    ci95: tuple[float, float] | None
    """Selection-corrected interval of the chosen layer's gain; None where the base is kept."""
    agreement: float
    """Share of the folds' choices that equal the choice on all items."""
    acts: float
    """Share of the folds in which any layer was chosen."""

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points, without its full stop."""
        says = f"Cross-validated, choosing by these {self.n} items gains {points(self.gain)}"
        if self.layer is None or self.ci95 is None:
            return f"{says}; by all of them the base is kept"
        low, high = self.ci95
        return (
            f"{says} (layer {self.layer} gains {signed(self.apparent_gain)} on the items that "
            f"chose it; 95 % interval of its own gain, corrected for the choice: {signed(low)} "
            f"to {signed(high)})"
        )


def cross_validate(
    sweep: Differences,
    *,
    criterion: str = "accuracy",
    folds: int = 5,
    repeats: int = 20,
    seed: int,
    min_gain: float | None = None,
    resamples: int = RESAMPLES,
) -> CrossValidated:
    """Choose on all folds but one, judge on the one, `repeats` times over; groups stay whole.

    `resamples` are the bootstrap's behind the upper limit; a fifth of them permutations behind the
    lower one.
    """
    rule = CRITERIA[criterion]
    if not 2 <= folds <= sweep.n_groups:
        raise UsageError(
            f"{folds} folds of {sweep.n_groups} independent items: use 2 to {sweep.n_groups}."
        )
    rng = np.random.default_rng(seed)
    fold_of = _folds(sweep, folds, repeats, rng)
    training = np.concatenate([(fold_of != fold).astype(np.float64) for fold in range(folds)])
    by_fold = choices(sweep, training, rule, min_gain).reshape(folds, repeats)
    # (repeats, N): the layer chosen without this item, and what it did to this item.
    blind = np.take_along_axis(by_fold.T, fold_of, axis=1)
    judged = np.where(
        blind >= 0, sweep.accuracy[np.arange(sweep.n_items), np.maximum(blind, 0)], 0.0
    )
    whole = choice_of_all(sweep, rule, min_gain)
    return CrossValidated(
        layer=sweep.layers[whole] if whole >= 0 else None,
        n=sweep.n_items,
        folds=folds,
        repeats=repeats,
        apparent_gain=float(sweep.accuracy[:, whole].mean()) if whole >= 0 else 0.0,
        gain=float(judged.mean()),
        ci95=_interval(sweep, whole, seed, resamples) if whole >= 0 else None,
        agreement=float((by_fold == whole).mean()),
        acts=float((by_fold >= 0).mean()),
    )


def _folds(
    sweep: Differences, folds: int, repeats: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(repeats, N) fold of each item: groups in random order, dealt out like cards."""
    order = np.argsort(rng.random((repeats, sweep.n_groups)), axis=1)
    dealt = np.empty_like(order)
    np.put_along_axis(
        dealt, order, np.broadcast_to(np.arange(sweep.n_groups) % folds, order.shape), axis=1
    )
    return dealt[:, sweep.members]


def _interval(sweep: Differences, column: int, seed: int, resamples: int) -> tuple[float, float]:
    tests = correct_over_layers(sweep, seed=seed, permutations=resamples // 5)
    own = Clusters(
        sweep.by_group(sweep.accuracy[:, column]), np.bincount(sweep.members).astype(np.int64)
    )
    _, high = gain_interval(own, seed=seed, resamples=resamples)
    return tests.layers[column].simultaneous_interval[0], high
