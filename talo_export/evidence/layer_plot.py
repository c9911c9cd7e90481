"""`layers.png`: what cutting a layer does to items nobody chose it by, and how it was chosen.

Its title is the finding. Left, the gain of every layer on the probing items with its paired
interval: wide bars of luck at 20 items are meant to be seen. Right, on the same scale, the chosen
layer's gain on the items that took no part in choosing it. Drawn to be read at the width of a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill as wrapped
from typing import TYPE_CHECKING

import numpy as np
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
    note,
    zero_line,
)
from talo_export.evidence.confirmation import Confirmation
from talo_export.evidence.finding import finding
from talo_export.evidence.paired import layer_gains
from talo_export.evidence.selection import Selection
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable
from talo_export.wording import count, one_line, percent, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RESAMPLES = 2_000


@dataclass(frozen=True)
class _Bars:
    """Points, one entry a layer."""

    layers: NDArray[np.int64]
    gains: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    ceiling: float
    """The gain at which every probing item is right."""


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

    `table` is the probing table the selection was made from; `title` says whose layers on which
    task. Layers that fall far below the rest are cut off at the frame, with their value written
    there. Readable from 2 to about 100 layers.
    """
    bars = _bars(table, selection, scope, fill, seed)
    shown = confirmation if confirmation is not None and confirmation.gain is not None else None
    floor, top = _frame(bars, shown)
    with figure(path, 7.2, 4.6, svg=svg) as drawing:
        says = wrapped(finding(selection, confirmation), 71)
        drawing.suptitle(says, x=0.01, ha="left", fontsize=12, fontweight="bold")
        left, right = drawing.subplots(1, 2, sharey=True, width_ratios=[4.6, 1.0])
        left.set_ylim(floor, top)
        _draw_bars(left, bars, selection, floor)
        _draw_ceiling(left, bars.ceiling, top)
        did = "probed with" if selection.knockout is None else "chosen on"
        base = f"the base answers {percent(selection.base_accuracy, 0)} right"
        left.set_title(
            f"{one_line(title)}\n{did} {count(selection.n, 'item')} · {base}", fontsize=9.5
        )
        _draw_confirmation(right, selection, shown)
        drawing.legend(handles=_legend(bars, selection), loc="outside lower left", ncols=5,
                       fontsize=9, handlelength=1.2, columnspacing=1.2)  # fmt: skip
    return path


def _bars(table: ScoreTable, selection: Selection, scope: Scope, fill: Fill, seed: int) -> _Bars:
    by_layer = layer_gains(table, scope=scope, fill=fill, seed=seed, resamples=_RESAMPLES)
    gains = np.array([gain for gain, _ in by_layer.values()], dtype=np.float64)
    ends = np.array([ends for _, ends in by_layer.values()], dtype=np.float64).reshape(-1, 2)
    ceiling = 100 * (1 - selection.base_accuracy)
    high = np.maximum(np.minimum(100 * ends[:, 1], ceiling), 100 * gains)
    return _Bars(np.array(list(by_layer)), 100 * gains, 100 * ends[:, 0], high, ceiling)


def _frame(bars: _Bars, shown: Confirmation | None) -> tuple[float, float]:
    """Limits of the axis: everything that gains, and no more depth than the bulk needs."""
    tops = [5.0, *bars.high]
    # One or two layers a model cannot do without would flatten all others: leave them out of the
    # scale, which spans the intervals of the layers above the lower quintile.
    bottoms = [-5.0, float(np.quantile(bars.low, 0.2)) if len(bars.low) else -5.0]
    if shown is not None and shown.ci95 is not None:
        tops.append(100 * shown.ci95[1])
        bottoms.append(100 * shown.ci95[0])
    return 1.12 * min(bottoms) - 1, 1.25 * max(tops) + 1


def _marked(bars: _Bars, selection: Selection) -> tuple[int, str] | None:
    """The chosen layer's place, and the colour of its mark: only a gain is green."""
    if selection.knockout is None:
        return None
    at = int(np.flatnonzero(bars.layers == selection.knockout.layer)[0])
    return at, CHOSEN if bars.gains[at] > 0 else INK


def _draw_bars(axes: Axes, bars: _Bars, selection: Selection, floor: float) -> None:
    from matplotlib.ticker import MaxNLocator

    depth = len(selection.gains)
    marked = _marked(bars, selection)
    colours = [GAIN if gain >= 0 else LOSS for gain in bars.gains]
    if marked is not None and marked[1] == CHOSEN:
        colours[marked[0]] = CHOSEN
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.bar(bars.layers, bars.gains, width=0.78, color=colours, zorder=2)
    inside = bars.gains >= floor
    axes.vlines(bars.layers[inside], bars.low[inside], bars.high[inside], color="#555555",
                linewidth=0.9, zorder=3)  # fmt: skip
    flat = np.abs(bars.gains) < 1e-9
    axes.plot(bars.layers[flat], bars.gains[flat], ".", color=INK, markersize=5, zorder=4)
    for layer, gain in zip(bars.layers[~inside], bars.gains[~inside], strict=True):
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        note(axes, f"{gain:.0f}", (layer, floor), (0, 1), ha="center", va="bottom", fontsize=8,
             rotation=90, color=LOSS, fontweight="bold", bbox=box, zorder=5)  # fmt: skip
    if marked is not None:
        at, colour = marked
        layer = int(bars.layers[at])
        axes.plot([layer], [bars.high[at]], marker="v", color=colour, markersize=7, zorder=5,
                  clip_on=False)  # fmt: skip
        side = "left" if layer < 0.15 * depth else "right" if layer > 0.85 * depth else "center"
        box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        note(axes, f"layer {layer}: {signed(bars.gains[at] / 100)}", (layer, bars.high[at]), (0, 7),
             ha=side, color=colour, fontsize=10, fontweight="bold", bbox=box,
             annotation_clip=False, zorder=6)  # fmt: skip
    zero_line(axes)
    axes.set_xlim(-0.8, depth - 0.2)
    axes.set_xticks(layer_ticks(depth, 16))
    axes.set_xlabel("decoder layer knocked out", fontsize=10)
    axes.set_ylabel("gain in accuracy (points)", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))


def _draw_ceiling(axes: Axes, ceiling: float, top: float) -> None:
    """Where every item would be right: a line, or, far above all gains, a note at the frame."""
    inside = ceiling < top
    if inside:
        axes.axhline(ceiling, color=NEUTRAL, linewidth=1, linestyle="--", zorder=1)
    says = "all right" if inside else f"all right at {signed(ceiling / 100)} ↑"
    at, offset = (1.0, ceiling if inside else top), (-3, 2 if inside else -3)
    note(axes, says, at, offset, xycoords=("axes fraction", "data"), ha="right",
         va="bottom" if inside else "top", fontsize=8.5, color=NEUTRAL)  # fmt: skip


def _legend(bars: _Bars, selection: Selection) -> list[object]:
    """Each colour that is drawn, by its name."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marked = _marked(bars, selection)
    handles: list[object] = []
    if marked is not None:
        says = "chosen" if marked[1] == CHOSEN else "chosen by its margin"
        handles.append(
            Line2D([], [], marker="v", linestyle="none", color=marked[1], markersize=7, label=says)
        )
    if (bars.gains > 0).sum() > (marked is not None and marked[1] == CHOSEN):
        handles.append(Patch(color=GAIN, label="more right"))
    if (bars.gains < 0).any():
        handles.append(Patch(color=LOSS, label="fewer right"))
    if (np.abs(bars.gains) < 1e-9).any():
        handles.append(
            Line2D([], [], marker=".", linestyle="none", color=INK, label="no difference")
        )
    return [*handles, Line2D([], [], color="#555555", linewidth=0.9, label="paired 95 % interval")]


def _draw_confirmation(axes: Axes, selection: Selection, shown: Confirmation | None) -> None:
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    zero_line(axes)
    axes.set_xlim(-0.8, 1.4)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if shown is None or shown.gain is None or shown.ci95 is None:
        says = "keep the\nbase" if selection.knockout is None else "not tested\non unseen\nitems"
        axes.text(0.5, 0.75, says, transform=axes.transAxes, ha="center", va="center",
                  color=NEUTRAL, fontsize=10, fontweight="bold")  # fmt: skip
        return
    gain, (low, high) = 100 * shown.gain, (100 * bound for bound in shown.ci95)
    colour = {"confirmed": CHOSEN, "harmful": LOSS}.get(shown.verdict, NEUTRAL)
    axes.vlines([0], low, high, color=colour, linewidth=2.2, zorder=3)
    for end in (low, high):
        axes.plot([-0.12, 0.12], [end, end], color=colour, linewidth=2.2, zorder=3)
    axes.plot([0], [gain], marker="o", color=colour, markersize=8, zorder=4)
    note(axes, signed(shown.gain), (0, gain), (8, 0), va="center", fontsize=11, fontweight="bold",
         color=INK)  # fmt: skip
    axes.set_title(f"{shown.n} unseen items", fontsize=9.5)
    axes.set_xlabel(
        f"{shown.verdict}\n{percent(shown.level, 0)} interval\n"
        f"{signed(shown.ci95[0])} to {signed(shown.ci95[1])}",
        fontsize=9,
    )
