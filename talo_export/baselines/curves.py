"""The figure of a comparison: accuracy and peak memory against the number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from talo_export.baselines.break_even import BreakEven
from talo_export.baselines.summary import Row
from talo_export.evidence.canvas import CHOSEN, INK, NEUTRAL, figure, span_at_least

# Okabe and Ito's palette without the knockout's green, which is this project's own colour.
COLOURS = ("#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
MARKERS = "osD^vPX"
LINES = ("-", "--", ":")
"""A method takes the next line where colours and markers are used up."""


def draw_curves(
    rows: Sequence[Row], path: Path, *, title: str, break_evens: Sequence[BreakEven] = ()
) -> None:
    """Write the figure as PNG and SVG. Bars are standard deviations over seeds; the base is the
    dashed line. Methods that were never tested are left out."""
    shots = sorted({row.shots for row in rows if row.shots})
    methods = list(dict.fromkeys(r.method for r in rows if r.shots and r.accuracy is not None))
    base = next((row for row in rows if row.method == "base"), None)
    most = max((row.peak_memory_bytes or 0 for row in rows), default=0)
    unit, bytes_ = ("GiB", 2**30) if most >= 2**30 else ("MiB", 2**20)
    with figure(path, 9.0, 4.0, title=title, svg=True) as drawing:
        accuracy, memory = drawing.subplots(1, 2)
        for place, method in enumerate(methods):
            mine = sorted(
                (r for r in rows if r.method == method and r.accuracy is not None),
                key=lambda row: row.shots,
            )
            look = _look(method, place)
            # A few per cent apart on the logarithmic axis, so that bars do not hide each other.
            at = [row.shots * 1.02 ** (place - len(methods) / 2) for row in mine]
            accuracy.errorbar(
                at,
                [100 * (row.accuracy or 0.0) for row in mine],
                yerr=[100 * (row.accuracy_sd or 0.0) for row in mine],
                capsize=2,
                elinewidth=0.8,
                label=method,
                **look,
            )
            memory.plot(at, [(row.peak_memory_bytes or 0) / bytes_ for row in mine], **look)
        if base is not None and base.accuracy is not None:
            accuracy.axhline(100 * base.accuracy, color=NEUTRAL, linestyle="--", label="base")
            memory.axhline((base.peak_memory_bytes or 0) / bytes_, color=NEUTRAL, linestyle="--")
        for crossing in break_evens:
            if crossing.estimate is not None and crossing.estimate > shots[0]:
                accuracy.axvline(crossing.estimate, color=INK, linewidth=0.8, linestyle=":")
        accuracy.set_ylabel("accuracy on the test items, %")
        memory.set_ylabel(f"peak memory, {unit}")
        memory.set_ylim(bottom=0)
        middle = sum(accuracy.get_ylim()) / 2
        span_at_least(accuracy, middle - 5, middle + 5)
        for axes in (accuracy, memory):
            _shots_axis(axes, shots)
        drawing.legend(loc="outside lower center", ncols=min(6, len(methods) + 1))


def _look(method: str, place: int) -> dict[str, object]:
    colour = CHOSEN if method == "knockout" else COLOURS[place % len(COLOURS)]
    line = LINES[place // len(COLOURS) % len(LINES)]
    marker = MARKERS[place % len(MARKERS)]
    return {"color": colour, "linestyle": line, "marker": marker, "markersize": 4}


def _shots_axis(axes: Axes, shots: Sequence[int]) -> None:
    axes.set_xlabel("shots")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(shots)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(shots), [str(n) for n in shots])
    axes.set_xlim(shots[0] / 1.3, shots[-1] * 1.3)
