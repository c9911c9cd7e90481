"""How selection behaves: stability of the choice, and gain and harm against shots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from talo_export.evidence.analyses.shots import ShotsCurve
from talo_export.evidence.analyses.stability import Stability
from talo_export.evidence.figures.canvas import (
    CHOSEN,
    FAINT,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    figure,
    layer_ticks,
    zero_line,
)
from talo_export.wording import percent

SERIES = (GAIN, LOSS, CHOSEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
MARKERS = "osD^vPX"


def draw_stability(found: Stability, path: Path, *, title: str, svg: bool = False) -> Path:
    """Left, how often each layer is chosen; right, agreement of two probing sets against shots."""
    depth = max(found.layers) + 1
    width = min(11.0, max(6.8, 4.0 + 0.1 * depth))
    with figure(path, width, 3.5, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        left, right = drawing.subplots(1, 2, width_ratios=[max(2.2, 0.035 * depth), 1.5])
        _draw_shares(left, found, depth)
        _draw_agreement(right, found)
    return path


def _draw_shares(axes: Axes, found: Stability, depth: int) -> None:
    chosen = None if found.knockout is None else found.knockout.layer
    colours = [CHOSEN if layer == chosen else GAIN for layer in found.layers]
    base_at = -max(2, round(0.06 * depth))
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.bar(found.layers, [100 * share for share in found.shares], color=colours, zorder=2)
    axes.bar([base_at], [100 * found.kept_base], color=CHOSEN if chosen is None else NEUTRAL,
             width=max(0.8, 0.02 * depth), zorder=2)  # fmt: skip
    axes.set_xticks([base_at, *layer_ticks(depth, 12)])
    axes.set_xticklabels(["base", *map(str, layer_ticks(depth, 12))])
    axes.set_xlabel("decoder layer chosen (green: by the items as they are)")
    axes.set_ylabel("share of resamples (%)")
    axes.set_title(
        f"{found.n} items resampled {found.runs:,} times: {percent(found.same, 0)} choose the same",
        fontsize=8.5,
    )


def _draw_agreement(axes: Axes, found: Stability) -> None:
    axes.grid(color=FAINT, linewidth=0.6, zorder=0)
    shots = [point.shots for point in found.by_shots]
    if shots:
        axes.plot(shots, [100 * point.agreement for point in found.by_shots], marker="o",
                  color=GAIN, label="two sets agree", zorder=3, clip_on=False)  # fmt: skip
        axes.plot(shots, [100 * point.kept_base for point in found.by_shots], marker="s",
                  color=NEUTRAL, label="base kept", linestyle="--", zorder=2,
                  clip_on=False)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(shots)
        axes.set_xticklabels(map(str, shots))
        axes.minorticks_off()
        axes.legend(loc="best")
    axes.set_ylim(0, 100)
    axes.set_xlabel("shots")
    axes.set_ylabel("share (%)")
    axes.set_title(f"random probing sets out of {found.n} items", fontsize=8.5)


def draw_shots(curve: ShotsCurve, path: Path, *, title: str, svg: bool = False) -> Path:
    """Mean gain on unseen items with the middle 95 % of runs, and how often the choice hurts."""
    names = list(dict.fromkeys(point.criterion for point in curve.points))
    with figure(path, 8.0, 3.5, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        left, right = drawing.subplots(1, 2)
        shots = sorted({point.shots for point in curve.points})
        for i, name in enumerate(names):
            points = [point for point in curve.points if point.criterion == name]
            # A little apart, so that intervals at the same number of shots can be told apart.
            at = np.array([p.shots for p in points]) * 1.03 ** (i - (len(names) - 1) / 2)
            colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            left.vlines(at, [100 * p.low for p in points], [100 * p.high for p in points],
                        color=colour, linewidth=1, alpha=0.6)  # fmt: skip
            left.plot(at, [100 * p.mean_gain for p in points], marker=marker, color=colour)
            right.plot(at, [100 * p.hurts for p in points], marker=marker, color=colour, label=name,
                       clip_on=False, zorder=3)  # fmt: skip
        zero_line(left)
        left.set_ylabel("gain on unseen items (points)")
        left.set_title("mean, and 95 % of the simulated runs", fontsize=8.5)
        right.set_ylabel("runs that lose more than a point (%)")
        right.set_ylim(bottom=0)
        runs = max(point.runs for point in curve.points)
        right.set_title(f"{curve.n_items} items, {runs:,} runs a point", fontsize=8.5)
        right.legend(title="chosen by", loc="best")
        for axes in (left, right):
            axes.grid(color=FAINT, linewidth=0.6, zorder=0)
            axes.set_xscale("log")
            axes.set_xticks(shots)
            axes.set_xticklabels(map(str, shots))
            axes.minorticks_off()
            axes.set_xlabel("shots (probing items)")
    return path
