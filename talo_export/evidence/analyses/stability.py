"""Would other probing items have chosen the same layer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Recorded, derived
from talo_export.evidence.canvas import CHOSEN, FAINT, GAIN, NEUTRAL, figure, layer_ticks
from talo_export.evidence.criteria import criterion_of
from talo_export.evidence.differences import (
    Differences,
    bootstrap,
    choice_of_all,
    choices,
    random_subsets,
)
from talo_export.evidence.runs import Analysed, Runs
from talo_export.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class ShotsAgreement:
    """Choices of random probing sets of one size."""

    shots: int
    agreement: float
    """Probability that two random probing sets choose the same layer (or both keep the base)."""
    favourite: int | None
    """Layer chosen most often; None where that is to keep the base."""
    favourite_share: float
    kept_base: float


@dataclass(frozen=True)
class Stability(Recorded):
    """How often each layer is chosen when the probing items are resampled."""

    n: int
    criterion: str
    runs: int
    layer: int | None
    """The choice on the items as they are; None keeps the base."""
    shares: Mapping[int, float]
    """Of the bootstrap resamples, by layer."""
    kept_base: float
    by_shots: tuple[ShotsAgreement, ...]

    @derived
    def same(self) -> float:
        """Share of the resamples that choose what the items as they are choose."""
        return self.kept_base if self.layer is None else self.shares[self.layer]

    @derived
    def sentence(self) -> str:
        """One sentence for a person."""
        choice = "keep the base" if self.layer is None else f"choose layer {self.layer}"
        return (
            f"{percent(self.same, 0)} of {self.runs:,} resamples of the {self.n} probing items "
            f"{choice}, as the items themselves do (by {self.criterion})."
        )


def stability(
    sweep: Differences,
    *,
    criterion: str = "accuracy",
    shots: Sequence[int] = (5, 10, 15, 20, 50, 100),
    runs: int = 1000,
    seed: int,
    min_gain: float | None = None,
) -> Stability:
    """Bootstrap the probing set (groups with replacement), and draw smaller ones from it."""
    rule, rng = criterion_of(criterion), np.random.default_rng(seed)

    def count(weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """(L+1,) votes, those for the base first."""
        chosen = choices(sweep, weights, rule, min_gain)
        return np.bincount(chosen + 1, minlength=len(sweep.layers) + 1).astype(np.int64)

    whole = choice_of_all(sweep, rule, min_gain)
    counts = count(bootstrap(sweep, runs, rng))
    points = []
    for size in shots:
        if size >= sweep.n_items:
            continue
        votes = count(random_subsets(sweep.members, size, runs, rng))
        most, shares = int(votes.argmax()), (votes / runs).tolist()
        agreement = float((votes * (votes - 1)).sum() / (runs * (runs - 1)))
        favourite = None if most == 0 else sweep.layers[most - 1]
        points.append(ShotsAgreement(size, agreement, favourite, shares[most], shares[0]))
    return Stability(
        n=sweep.n_items,
        criterion=criterion,
        runs=runs,
        layer=sweep.layers[whole] if whole >= 0 else None,
        shares=dict(zip(sweep.layers, (counts[1:] / runs).tolist(), strict=True)),
        kept_base=float(counts[0] / runs),
        by_shots=tuple(points),
    )


def analyse(runs: Runs) -> Analysed:
    """Of one run."""
    run = runs.only("stability")
    result = stability(run.sweep, criterion=run.criterion, min_gain=run.min_gain, seed=runs.seed)
    title = f"{run.task}: would other items have chosen the same layer?"
    return Analysed(result, partial(draw_stability, result, title=title))


def draw_stability(result: Stability, path: Path, *, title: str, svg: bool = False) -> Path:
    """Left, how often each layer is chosen; right, agreement of two probing sets against shots."""
    depth = max(result.shares) + 1
    width = min(11.0, max(6.8, 4.0 + 0.1 * depth))
    with figure(path, width, 3.5, title=title, svg=svg) as drawing:
        left, right = drawing.subplots(1, 2, width_ratios=[max(2.2, 0.035 * depth), 1.5])
        _draw_shares(left, result, depth)
        _draw_agreement(right, result)
    return path


def _draw_shares(axes: Axes, result: Stability, depth: int) -> None:
    colours = [CHOSEN if layer == result.layer else GAIN for layer in result.shares]
    base_at = -max(2, round(0.06 * depth))
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.bar(
        list(result.shares),
        [100 * share for share in result.shares.values()],
        color=colours,
        zorder=2,
    )
    axes.bar([base_at], [100 * result.kept_base], color=CHOSEN if result.layer is None else NEUTRAL,
             width=max(0.8, 0.02 * depth), zorder=2)  # fmt: skip
    ticks = layer_ticks(depth, 12)
    axes.set_xticks([base_at, *ticks], ["base", *map(str, ticks)])
    axes.set_xlabel("decoder layer chosen (green: by the items as they are)")
    axes.set_ylabel("share of resamples (%)")
    axes.set_title(
        f"{result.n} items resampled {result.runs:,} times: "
        f"{percent(result.same, 0)} choose the same",
        fontsize=8.5,
    )


def _draw_agreement(axes: Axes, result: Stability) -> None:
    axes.grid(color=FAINT, linewidth=0.6, zorder=0)
    shots = [point.shots for point in result.by_shots]
    if shots:
        axes.plot(shots, [100 * point.agreement for point in result.by_shots], marker="o",
                  color=GAIN, label="two sets agree", zorder=3, clip_on=False)  # fmt: skip
        axes.plot(shots, [100 * point.kept_base for point in result.by_shots], marker="s",
                  color=NEUTRAL, label="base kept", linestyle="--", zorder=2,
                  clip_on=False)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(shots, list(map(str, shots)))
        axes.minorticks_off()
        axes.legend(loc="best")
    axes.set_ylim(0, 100)
    axes.set_xlabel("shots")
    axes.set_ylabel("share (%)")
    axes.set_title(f"random probing sets out of {result.n} items", fontsize=8.5)
