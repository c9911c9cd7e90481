"""How good selection is at a given number of shots: gain, harm and regret on unseen items.

From one full sweep, probing sets are drawn at random many times; each time a layer is chosen on
the probing set and judged on all other items. The layer is thereby never judged on an item that
chose it, and no forward pass is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.criteria import CRITERIA, Criterion, choose
from talo_export.evidence.differences import Differences, moments_of_subsets, random_subsets
from talo_export.evidence.selection import WITH_SCORES
from talo_export.wording import percent

HURTS = -0.01
"""A choice hurts when it loses more than one point on unseen items."""

LEAST_UNSEEN_SHARE = 0.25
"""A number of shots that leaves a smaller share of the items to judge by is left out."""


@dataclass(frozen=True)
class Trials:
    """Simulated selections at one number of shots; arrays are (R,)."""

    shots: int
    chosen: NDArray[np.int64]
    """Column of the chosen layer, -1 where the base was kept."""
    gain: NDArray[np.float64]
    """Accuracy gain on the items not probed, as a share; 0 where the base was kept."""
    best: NDArray[np.float64]
    """The same of the layer that is best on those very items (an optimistic yardstick)."""

    @property
    def acts(self) -> float:
        """Share of runs that knock a layer out."""
        return float((self.chosen >= 0).mean())

    @property
    def hurts(self) -> float:
        """Share of runs that lose more than a point on unseen items."""
        return float((self.gain < HURTS).mean())

    @property
    def regret(self) -> float:
        """Mean shortfall to the best layer, as a share."""
        return float((self.best - self.gain).mean())


@dataclass(frozen=True)
class ShotsPoint:
    """One criterion at one number of shots. Gains and regret are shares."""

    criterion: str
    shots: int
    runs: int
    mean_gain: float
    low: float
    """2.5 % quantile of the gain over the runs."""
    high: float
    hurts: float
    acts: float
    regret: float


@dataclass(frozen=True)
class ShotsCurve:
    """Selection quality against shots on one task."""

    n_items: int
    points: tuple[ShotsPoint, ...]

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points, at the largest number of shots."""
        most = max(point.shots for point in self.points)
        by_rule = [
            f"{point.criterion} gains {100 * point.mean_gain:+.1f} points on the others on average "
            f"and loses more than one in {percent(point.hurts, 0)} of the runs"
            for point in self.points
            if point.shots == most
        ]
        return f"Choosing by {most} of {self.n_items} items, {'; '.join(by_rule)}."

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sentence": self.sentence,
            "n_items": self.n_items,
            "points": [asdict(point) for point in self.points],
        }


def simulate_selection(
    sweep: Differences,
    shots: int,
    criterion: Criterion,
    *,
    runs: int,
    seed: int,
    min_gain: float | None = None,
) -> Trials:
    """Choose on `runs` random probing sets of `shots` items, judge each on the other items.

    The same seed draws the same probing sets for every criterion, so criteria compare pairwise.
    """
    if not 1 <= shots < sweep.n_items:
        raise UsageError(
            f"{shots} shots leave nothing to judge by among {sweep.n_items} items: use fewer."
        )
    rng = np.random.default_rng(seed)
    probing = random_subsets(sweep.members, shots, runs, rng)
    moments = moments_of_subsets(sweep, probing)
    chosen = choose(criterion, moments, np.ones(len(sweep.layers), dtype=bool), min_gain)
    unseen = 1.0 - probing
    gains = (unseen @ sweep.accuracy) / unseen.sum(axis=1, keepdims=True)
    picked = np.take_along_axis(gains, np.maximum(chosen, 0)[:, None], axis=1)[:, 0]
    return Trials(
        shots=shots,
        chosen=chosen,
        gain=np.where(chosen >= 0, picked, 0.0),
        best=np.maximum(gains.max(axis=1), 0.0),
    )


def shots_curve(
    sweep: Differences,
    *,
    shots: Sequence[int] = (5, 10, 15, 20, 50, 100),
    criteria: Sequence[str] | None = None,
    runs: int = 1000,
    seed: int = 0,
) -> ShotsCurve:
    """Gain, harm and regret for each criterion and number of shots that leaves enough unseen.

    Without `criteria`, accuracy and, where choices were scored, the default for such scores.
    Raises UsageError for a criterion that does not exist or needs scores that are not there,
    TaloError for too few items.
    """
    if criteria is None:
        criteria = ("accuracy",) if sweep.margin is None else ("accuracy", WITH_SCORES)
    points = []
    for name in criteria:
        if name not in CRITERIA:
            raise UsageError(
                f"Unknown selection criterion {name!r}. Choose one of: {', '.join(CRITERIA)}."
            )
        if CRITERIA[name].measure not in sweep.measures():
            raise UsageError(
                f"Criterion {name!r} needs log-likelihoods of the choices, but only text was "
                "generated. Use accuracy, or probe with --scoring likelihood."
            )
        for size in shots:
            if sweep.n_items - size < LEAST_UNSEEN_SHARE * sweep.n_items:
                continue
            trials = simulate_selection(sweep, size, CRITERIA[name], runs=runs, seed=seed)
            low, high = np.quantile(trials.gain, [0.025, 0.975])
            points.append(
                ShotsPoint(
                    criterion=name,
                    shots=size,
                    runs=runs,
                    mean_gain=float(trials.gain.mean()),
                    low=float(low),
                    high=float(high),
                    hurts=trials.hurts,
                    acts=trials.acts,
                    regret=trials.regret,
                )
            )
    if not points:
        raise TaloError(
            f"{sweep.n_items} items are too few for {min(shots)} shots with a quarter of the "
            "items left to judge by. Use fewer shots or a larger task."
        )
    return ShotsCurve(n_items=sweep.n_items, points=tuple(points))
