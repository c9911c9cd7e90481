"""One knockout over tasks and items: side effects, changed cases, answers given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from talo_export.evidence.analyses.cases import Cases
from talo_export.evidence.analyses.side_effects import SideEffects
from talo_export.evidence.calibration import AnswerCalibration
from talo_export.evidence.figures.canvas import (
    CHOSEN,
    FAINT,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    figure,
    shortened,
    zero_line,
)


def draw_side_effects(found: SideEffects, path: Path, *, title: str, svg: bool = False) -> Path:
    """Gain with its interval for every other task, best first, and the macro average."""
    count = len(found.tasks)
    height = 1.7 + max(0.15 * count, 0.24 * min(count, 14))
    with figure(path, 7.2, height, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = drawing.add_subplot()
        axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
        for row, (name, task) in enumerate(found.tasks.items()):
            assert task.gain is not None
            assert task.interval is not None
            colour = GAIN if name in found.better else LOSS if name in found.worse else NEUTRAL
            low, high = (100 * bound for bound in task.interval)
            axes.hlines(row, low, high, color=colour, linewidth=1.2, zorder=2)
            axes.plot([100 * task.gain], [row], "o", color=colour, markersize=4, zorder=3)
        low, high = (100 * bound for bound in found.macro_interval)
        axes.hlines(count + 0.4, low, high, color=INK, linewidth=2, zorder=2)
        axes.plot([100 * found.macro_gain], [count + 0.4], "D", color=INK, markersize=5, zorder=3)
        axes.set_yticks([*range(count), count + 0.4])
        axes.set_yticklabels(
            [*(f"{shortened(name)} ({task.n})" for name, task in found.tasks.items()),
             "macro average"],
            fontsize=8 if count <= 40 else 6.5,
        )  # fmt: skip
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set_ylim(count + 1.1, -0.7)
        zero_line(axes, vertical=True)
        axes.set_xlabel("gain in accuracy (points), 95 % intervals; in brackets: items")
        axes.set_title(
            f"layer {found.layer} knocked out: {len(found.better)} better, "
            f"{len(found.worse)} worse at a 5 % false discovery rate",
            fontsize=8.5,
        )
    return path


def draw_cases(found: Cases, path: Path, *, title: str, svg: bool = False) -> Path:
    """Margins before and after, for the items whose result changed.

    Where only text was generated there are no margins: then the two counts alone are drawn.
    """
    groups = (
        (found.turned_right, GAIN, "turned right"),
        (found.turned_wrong, LOSS, "turned wrong"),
    )
    with figure(path, 6.4, 3.6, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        axes = drawing.add_subplot()
        axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        known = any(case.margin is not None for cases, _, _ in groups for case in cases)
        for position, (cases, colour, name) in enumerate(groups):
            label = f"{name}: {len(cases)} of {found.n} items"
            if not known:
                axes.bar([position], [len(cases)], color=colour, label=label, width=0.5, zorder=2)
                continue
            at = position * 2.2
            for case in cases:
                if case.margin is None or case.base_margin is None:
                    continue
                axes.plot([at, at + 1], [case.base_margin, case.margin], color=colour, alpha=0.45,
                          linewidth=1, marker="o", markersize=3)  # fmt: skip
            axes.plot([], [], color=colour, marker="o", markersize=3, label=label)
        if known:
            zero_line(axes)
            axes.set_xlim(-0.3, 3.5)
            axes.set_xticks([0, 1, 2.2, 3.2])
            axes.set_xticklabels(["base", f"without\nlayer {found.knockout.layer}"] * 2)
            axes.set_ylabel("margin of the right choice (nats)")
        else:
            axes.set_xticks([0, 1])
            axes.set_xticklabels([name for _, _, name in groups])
            axes.set_ylabel("items")
            axes.yaxis.set_major_locator(
                MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
            )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return path


def draw_answers(found: AnswerCalibration, path: Path, *, title: str, svg: bool = False) -> Path:
    """Answers given by base and knockout beside the right ones; the gain before and after."""
    with figure(path, 7.4, 3.4, svg=svg) as drawing:
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        left, right = drawing.subplots(1, 2, width_ratios=[2, 1])
        answers = found.distribution
        at = np.arange(len(answers.gold))
        bars = (("right answers", answers.gold, "#BBBBBB"), ("base", answers.base, GAIN),
                (f"without layer {found.layer}", answers.knockout, CHOSEN))  # fmt: skip
        left.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        for i, (name, shares, colour) in enumerate(bars):
            left.bar(at + 0.27 * (i - 1), [100 * share for share in shares], width=0.25,
                     color=colour, label=name, zorder=2)  # fmt: skip
        left.set_xticks(at)
        left.set_xticklabels([chr(ord("A") + i) for i in at])
        left.set_xlabel("choice")
        left.set_ylabel("share of items (%)")
        left.set_title(f"{found.n} items", fontsize=8.5)
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
        right.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        for i, gain in enumerate((found.raw, found.calibrated)):
            low, high = (100 * bound for bound in gain.interval)
            colour = CHOSEN if low > 0 else LOSS if high < 0 else NEUTRAL
            right.vlines([i], low, high, color=colour, linewidth=2)
            right.plot([i], [100 * gain.gain], "o", color=colour, markersize=7)
            right.annotate(f"{100 * gain.gain:+.1f}", (i, 100 * gain.gain), xytext=(8, 0),
                           textcoords="offset points", va="center", fontweight="bold")  # fmt: skip
        zero_line(right)
        right.set_xlim(-0.5, 1.7)
        right.set_xticks([0, 1])
        right.set_xticklabels(["as it\nstands", "preference\ntaken out"])
        right.set_ylabel("gain (points), 95 % interval")
        right.set_title(f"the gain {found.fate}" if found.fate != "no gain" else "no gain",
                        fontsize=8.5)  # fmt: skip
    return path
