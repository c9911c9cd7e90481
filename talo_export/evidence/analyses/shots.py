"""How good the choice is by number of shots: gain, harm and regret on unseen items.

From one full sweep, probing sets are drawn at random many times; each time a layer is chosen on
the probing set and judged on all other items. The layer is thereby never judged on an item that
chose it, and no forward pass is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.canvas import (
    CHOSEN,
    FAINT,
    GAIN,
    INK,
    LOSS,
    figure,
    span_at_least,
    zero_line,
)
from talo_export.evidence.criteria import WITH_SCORES, Criterion, criterion_of
from talo_export.evidence.differences import Differences, choices, random_subsets
from talo_export.evidence.runs import Analysed, Runs
from talo_export.wording import percent, points

SERIES = (GAIN, LOSS, CHOSEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
MARKERS = "osD^vPX"

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
class ShotsCurve(Recorded):
    """Selection quality against shots on one task."""

    n_items: int
    points: tuple[ShotsPoint, ...]

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points, at the largest number of shots."""
        most = max(point.shots for point in self.points)
        by_rule = [
            f"{point.criterion} gains {points(point.mean_gain)} on the others on average "
            f"and loses more than one in {percent(point.hurts, 0)} of the runs"
            for point in self.points
            if point.shots == most
        ]
        return f"Choosing by {most} of {self.n_items} items, {'; '.join(by_rule)}."


def simulate_selection(
    sweep: Differences, shots: int, criterion: Criterion, *, runs: int, seed: int
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
    chosen = choices(sweep, probing, criterion)
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
    curve = []
    for name in criteria:
        rule = criterion_of(name)
        if getattr(sweep, rule.measure) is None:
            raise UsageError(
                f"Criterion {name!r} needs log-likelihoods of the choices, but only text was "
                "generated. Use accuracy, or probe with --scoring likelihood."
            )
        for size in shots:
            if sweep.n_items - size < LEAST_UNSEEN_SHARE * sweep.n_items:
                continue
            trials = simulate_selection(sweep, size, rule, runs=runs, seed=seed)
            low, high = np.quantile(trials.gain, [0.025, 0.975]).tolist()
            mean = float(trials.gain.mean())
            shares = trials.hurts, trials.acts, trials.regret
            curve.append(ShotsPoint(name, size, runs, mean, low, high, *shares))
    if not curve:
        raise TaloError(
            f"{sweep.n_items} items are too few for {min(shots)} shots with a quarter of the "
            "items left to judge by. Use fewer shots or a larger task."
        )
    return ShotsCurve(n_items=sweep.n_items, points=tuple(curve))


def analyse(runs: Runs) -> Analysed:
    """Of one run."""
    run = runs.only("shots")
    result = shots_curve(run.sweep, seed=runs.seed)
    title = f"{run.task}: gain on unseen items against shots"
    return Analysed(result, partial(draw_shots, result, title=title))


def draw_shots(curve: ShotsCurve, path: Path, *, title: str, svg: bool = False) -> Path:
    """Mean gain on unseen items with the middle 95 % of runs, and how often the choice hurts."""
    names = list(dict.fromkeys(point.criterion for point in curve.points))
    with figure(path, 8.0, 3.5, title=title, svg=svg) as drawing:
        left, right = drawing.subplots(1, 2)
        shots = sorted({point.shots for point in curve.points})
        for i, name in enumerate(names):
            by_shots = [point for point in curve.points if point.criterion == name]
            # A little apart, so that intervals at the same number of shots can be told apart.
            at = np.array([p.shots for p in by_shots]) * 1.03 ** (i - (len(names) - 1) / 2)
            colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            left.vlines(at, [100 * p.low for p in by_shots], [100 * p.high for p in by_shots],
                        color=colour, linewidth=1, alpha=0.6)  # fmt: skip
            left.plot(at, [100 * p.mean_gain for p in by_shots], marker=marker, color=colour)
            right.plot(at, [100 * p.hurts for p in by_shots], marker=marker, color=colour,
                       label=name, clip_on=False, zorder=3)  # fmt: skip
        zero_line(left)
        span_at_least(left, -5, 5)
        left.set_ylabel("gain on unseen items (points)")
        left.set_title("mean, and 95 % of the simulated runs", fontsize=8.5)
        right.set_ylabel("runs that lose more than a point (%)")
        right.set_ylim(bottom=0)
        span_at_least(right, 0, 25)
        runs = max(point.runs for point in curve.points)
        right.set_title(f"{curve.n_items} items, {runs:,} runs a point", fontsize=8.5)
        right.legend(title="chosen by", loc="best")
        for axes in (left, right):
            axes.grid(color=FAINT, linewidth=0.6, zorder=0)
            axes.set_xscale("log")
            axes.set_xticks(shots, list(map(str, shots)))
            axes.minorticks_off()
            axes.set_xlabel("shots (probing items)")
    return path
