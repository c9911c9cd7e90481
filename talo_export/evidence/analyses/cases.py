"""The items a knockout turned right, and those it turned wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.canvas import FAINT, GAIN, LOSS, figure, span_at_least, zero_line
from talo_export.evidence.paired import right, seen_by_both
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True)
class Case:
    """One item whose result changed. Margins in nats, None where only text was generated."""

    item_id: str
    base_answer: str | None
    answer: str | None
    base_margin: float | None
    margin: float | None


@dataclass(frozen=True)
class Cases(Recorded):
    """Changed items, the largest change of margin first (then by id)."""

    layer: int
    n: int
    turned_right: tuple[Case, ...]
    turned_wrong: tuple[Case, ...]

    @derived
    def sentence(self) -> str:
        """One sentence for a person."""
        return (
            f"Without layer {self.layer}, {len(self.turned_right)} of {self.n} items "
            f"turned right and {len(self.turned_wrong)} turned wrong."
        )


def cases(table: ScoreTable, knockout: Knockout) -> Cases:
    """Find them. Question and picture are the caller's to look up, by item id."""
    if knockout not in table.variants:
        raise TaloError(
            f"These scores hold no knockout of layer {knockout.layer} "
            f"({knockout.scope}, {knockout.fill}): there are no cases to show."
        )
    base, row = table.row(None), table.row(knockout)
    both = seen_by_both(table, knockout)
    answers = right(table)

    def margin(variant: int, column: int) -> float | None:
        if table.margin is None or not np.isfinite(table.margin[variant, column]):
            return None
        return float(table.margin[variant, column])

    def changed(mask: np.ndarray) -> tuple[Case, ...]:
        before, after = table.answers[base], table.answers[row]
        turned = [
            Case(table.item_ids[at], before[at], after[at], margin(base, at), margin(row, at))
            for at in np.flatnonzero(mask & both).tolist()
        ]
        return tuple(sorted(turned, key=lambda case: (-_shift(case), case.item_id)))

    return Cases(
        layer=knockout.layer,
        n=int(both.sum()),
        turned_right=changed(answers[row] & ~answers[base]),
        turned_wrong=changed(answers[base] & ~answers[row]),
    )


def _shift(case: Case) -> float:
    if case.margin is None or case.base_margin is None:
        return 0.0
    return abs(case.margin - case.base_margin)


def analyse(runs: Runs) -> Analysed:
    """Of one run."""
    run = runs.only("cases")
    result = cases(run.judged, run.chosen)
    title = f"{run.task}: answers that turned without layer {run.chosen.layer}"
    return Analysed(result, partial(draw_cases, result, title=title))


def draw_cases(result: Cases, path: Path, *, title: str, svg: bool = False) -> Path:
    """Margins before and after, for the items whose result changed.

    Where only text was generated there are no margins: then the two counts alone are drawn.
    """
    groups = (
        (result.turned_right, GAIN, "turned right"),
        (result.turned_wrong, LOSS, "turned wrong"),
    )
    from matplotlib.ticker import MaxNLocator

    with figure(path, 6.4, 3.6, title=title, svg=svg) as drawing:
        axes = drawing.add_subplot()
        axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        known = any(case.margin is not None for cases, _, _ in groups for case in cases)
        for position, (cases, colour, name) in enumerate(groups):
            label = f"{name}: {len(cases)} of {result.n} items"
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
            span_at_least(axes, -1, 1)
            axes.set_xlim(-0.3, 3.5)
            axes.set_xticks([0, 1, 2.2, 3.2], ["base", f"without\nlayer {result.layer}"] * 2)
            axes.set_ylabel("margin of the right choice (nats)")
        else:
            axes.set_xticks([0, 1], [name for _, _, name in groups])
            axes.set_ylabel("items")
            axes.yaxis.set_major_locator(
                MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
            )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return path
