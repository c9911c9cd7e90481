"""`layers.png`: what knocking out each layer does, which one was chosen, and what unseen items say.

Left, the gain of every layer on the probing items with its paired interval: wide bars of luck at
20 items are meant to be seen. Right, on the same scale, the chosen layer's gain on the items that
took no part in choosing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from talo_export.evidence.canvas import (
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
from talo_export.evidence.confirmation import Confirmation
from talo_export.evidence.paired import layer_gains
from talo_export.evidence.selection import Selection
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable
from talo_export.wording import percent

_RESAMPLES = 2_000


@dataclass(frozen=True)
class _Bars:
    layers: NDArray[np.int64]
    gains: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_layers(
    table: ScoreTable,
    selection: Selection,
    confirmation: Confirmation | None,
    path: Path,
    *,
    title: str,
    scope: Scope = "attention",
    fill: Fill = "zero",
    svg: bool = False,
    seed: int = 0,
) -> Path:
    """Draw gain per layer (percentage points) to a PNG, and return its path.

    `table` is the probing table the selection was made from. Layers that fall far below the rest
    are cut off at the frame, with their value written there. Readable from 2 to about 100 layers.
    """
    bars = _bars(table, scope, fill, seed)
    depth = len(selection.gains)
    shown = confirmation if confirmation is not None and confirmation.gain is not None else None
    floor, ceiling = _frame(bars, shown)
    width = min(11.0, max(6.4, 3.4 + 0.105 * depth))
    with figure(path, width, 3.9, svg=svg) as drawing:
        ratios = [max(4.0, 0.085 * depth), 1.0]
        left, right = drawing.subplots(1, 2, sharey=True, width_ratios=ratios)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        _draw_bars(left, bars, selection, depth, floor)
        left.set_ylim(floor, ceiling)
        _draw_confirmation(right, selection, shown)
    return path


def _bars(table: ScoreTable, scope: Scope, fill: Fill, seed: int) -> _Bars:
    found = layer_gains(table, scope=scope, fill=fill, seed=seed, resamples=_RESAMPLES)
    gains = np.array([gain for gain, _ in found.values()], dtype=np.float64)
    intervals = np.array([ends for _, ends in found.values()], dtype=np.float64).reshape(-1, 2)
    return _Bars(np.array(list(found)), 100 * gains, 100 * intervals[:, 0], 100 * intervals[:, 1])


def _frame(bars: _Bars, shown: Confirmation | None) -> tuple[float, float]:
    """Limits of the axis: everything that gains, and no more depth than the bulk needs."""
    tops = [5.0, *bars.high]
    # One or two layers a model cannot do without would flatten all others: leave them out of the
    # scale, which spans the intervals of the layers above the lower quintile.
    bottoms = [-5.0, float(np.quantile(bars.low, 0.2)) if len(bars.low) else -5.0]
    if shown is not None and shown.ci95 is not None:
        tops.append(100 * shown.ci95[1])
        bottoms.append(100 * shown.ci95[0])
    top = max(tops)
    bottom = min(bottoms)
    return 1.12 * bottom - 1, 1.18 * top + 1


def _draw_bars(axes: Axes, bars: _Bars, selection: Selection, depth: int, floor: float) -> None:
    chosen = selection.knockout.layer if selection.knockout is not None else None
    colours = [
        CHOSEN if layer == chosen else GAIN if gain >= 0 else LOSS
        for layer, gain in zip(bars.layers, bars.gains, strict=True)
    ]
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.bar(bars.layers, bars.gains, width=0.78, color=colours, zorder=2)
    inside = bars.gains >= floor
    axes.vlines(bars.layers[inside], bars.low[inside], bars.high[inside], color="#555555",
                linewidth=0.9, zorder=3)  # fmt: skip
    flat = np.abs(bars.gains) < 1e-9
    axes.plot(bars.layers[flat], bars.gains[flat], ".", color=INK, markersize=4, zorder=4)
    for layer, gain in zip(bars.layers, bars.gains, strict=True):
        if gain < floor:
            axes.annotate(
                f"{gain:.0f}",
                (layer, floor),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                rotation=90,
                color=LOSS,
                fontweight="bold",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
                zorder=5,
            )
    if chosen is not None:
        at = int(np.flatnonzero(bars.layers == chosen)[0])
        axes.plot([chosen], [bars.high[at]], marker="v", color=CHOSEN, markersize=7, zorder=5,
                  clip_on=False)  # fmt: skip
        axes.annotate(
            f"layer {chosen}: {bars.gains[at]:+.1f}",
            (chosen, bars.high[at]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="left" if chosen < 0.12 * depth else "right" if chosen > 0.88 * depth else "center",
            color=CHOSEN,
            fontweight="bold",
            annotation_clip=False,
        )
    zero_line(axes)
    axes.set_xlim(-0.8, depth - 0.2)
    axes.set_xticks(layer_ticks(depth))
    axes.set_xlabel("decoder layer knocked out")
    axes.set_ylabel("gain in accuracy (points)")
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.set_title(
        f"chosen on {selection.n} items · base {percent(selection.base_accuracy)} · "
        "with 95 % intervals",
        fontsize=8.5,
    )


def _draw_confirmation(axes: Axes, selection: Selection, shown: Confirmation | None) -> None:
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    zero_line(axes)
    axes.set_xlim(-0.8, 1.4)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if shown is None or shown.gain is None or shown.ci95 is None:
        told = "keep the\nbase" if selection.knockout is None else "not tested\non unseen\nitems"
        axes.text(0.5, 0.75, told, transform=axes.transAxes, ha="center", va="center",
                  color=NEUTRAL, fontweight="bold")  # fmt: skip
        return
    gain, (low, high) = 100 * shown.gain, (100 * bound for bound in shown.ci95)
    colour = {"confirmed": CHOSEN, "harmful": LOSS}.get(shown.verdict, NEUTRAL)
    axes.vlines([0], low, high, color=colour, linewidth=2.2, zorder=3)
    axes.plot([-0.12, 0.12], [low, low], color=colour, linewidth=2.2, zorder=3)
    axes.plot([-0.12, 0.12], [high, high], color=colour, linewidth=2.2, zorder=3)
    axes.plot([0], [gain], marker="o", color=colour, markersize=8, zorder=4)
    axes.annotate(
        f"{gain:+.1f}",
        (0, gain),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
        color=INK,
    )
    axes.set_title(f"{shown.n} unseen items", fontsize=8.5)
    axes.set_xlabel(
        f"{shown.verdict}\n{percent(shown.level, 0)} interval\n{low:+.1f} to {high:+.1f}",
        fontsize=8,
    )
