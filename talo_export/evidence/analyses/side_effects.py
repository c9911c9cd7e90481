"""What a knockout chosen for one task does to all the others at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

import numpy as np

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.canvas import (
    FAINT,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    figure,
    shortened,
    span_at_least,
    zero_line,
)
from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.discoveries import discover
from talo_export.evidence.paired import accuracy_clusters, mean_and_error
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.wording import count, points, signed


@dataclass(frozen=True)
class SideEffects(Recorded):
    """Gains are shares. `macro` weighs every task the same."""

    layer: int
    own_task: str | None
    macro_base_accuracy: float
    macro_gain: float
    macro_ci95: tuple[float, float]
    """These tasks taken as given (their items vary)."""
    micro_gain: float
    """Every item weighed the same."""
    better: tuple[str, ...]
    """Tasks that gain at a false discovery rate of 5 %."""
    worse: tuple[str, ...]
    """Tasks that lose at that rate."""
    tasks: Mapping[str, Confirmation]
    """The other tasks, best gain first."""

    @derived
    def sentence(self) -> str:
        """One sentence for report and card."""
        low, high = self.macro_ci95
        worst = min(self.tasks, key=lambda task: self.tasks[task].gain or 0.0)
        return (
            f"On {count(len(self.tasks), 'other task')} the knockout "
            f"changes accuracy by {points(self.macro_gain)} on average "
            f"(95 % interval of that average {signed(low)} to {signed(high)}): "
            f"{len(self.better)} better, {len(self.worse)} worse beyond chance; the lowest is "
            f"{worst} ({signed(self.tasks[worst].gain or 0.0)})."
        )


def side_effects(
    knockout: Knockout, tables: Mapping[str, ScoreTable], *, seed: int, own_task: str | None = None
) -> SideEffects:
    """Judge a knockout on all tasks but its own that were scored with it.

    Raises TaloError where no other task was.
    """
    from scipy.stats import norm

    others = {
        name: table
        for name, table in tables.items()
        if name != own_task and knockout in table.variants
    }
    if not others:
        raise TaloError(
            f"No other task was scored with layer {knockout.layer} knocked out. "
            "Probe more tasks on the same model, then ask again."
        )
    judged = {name: confirm(table, knockout, seed=seed) for name, table in others.items()}
    judged = dict(sorted(judged.items(), key=lambda pair: (-(pair[1].gain or 0.0), pair[0])))
    gains = np.array([c.gain for c in judged.values()], dtype=np.float64)
    sizes = np.array([c.n for c in judged.values()], dtype=np.float64)
    error = np.sqrt(sum(_variance(table, knockout) for table in others.values())) / len(others)
    reach = float(norm.ppf(0.975)) * float(error)
    macro = float(gains.mean())
    corrected = discover(judged)
    sure = [task for task in corrected.tasks if task.q_value <= corrected.rate]
    return SideEffects(
        layer=knockout.layer,
        own_task=own_task,
        macro_base_accuracy=float(np.mean([c.base_accuracy for c in judged.values()])),
        macro_gain=macro,
        macro_ci95=(max(-1.0, macro - reach), min(1.0, macro + reach)),
        micro_gain=float((gains * sizes).sum() / sizes.sum()),
        better=tuple(task.task for task in sure if task.gain > 0),
        worse=tuple(task.task for task in sure if task.gain < 0),
        tasks=judged,
    )


def _variance(table: ScoreTable, knockout: Knockout) -> float:
    """Squared standard error of a task's gain, with one group added each way (see `paired`)."""
    clusters = accuracy_clusters(table, knockout)
    _, error = mean_and_error(clusters.sums, clusters.sizes.astype(np.float64))
    return float(error) ** 2


def analyse(runs: Runs) -> Analysed:
    """Of the run that chose a layer, then runs of other tasks."""
    own, *others = runs.by_task.values()
    if not others:
        raise UsageError(
            "side-effects needs the run that chose a layer, then runs of other tasks: "
            f"`talo-export analyze side-effects {quote(str(own.where))} OTHER_RUN...`."
        )
    knockout = own.chosen
    tables = {run.task: runs.more.unseen(run.task, [knockout]) for run in others}
    result = side_effects(knockout, tables, seed=runs.seed, own_task=own.task)
    title = f"Layer {knockout.layer}, chosen for {own.task}, on other tasks"
    return Analysed(result, partial(draw_side_effects, result, title=title))


def draw_side_effects(effects: SideEffects, path: Path, *, title: str, svg: bool = False) -> Path:
    """Gain with its interval for every other task, best first, and the macro average."""
    count = len(effects.tasks)
    height = 1.7 + max(0.15 * count, 0.24 * min(count, 14))
    with figure(path, 7.2, height, title=title, svg=svg) as drawing:
        axes = drawing.add_subplot()
        axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
        for row, (name, task) in enumerate(effects.tasks.items()):
            assert task.gain is not None
            assert task.ci95 is not None
            colour = GAIN if name in effects.better else LOSS if name in effects.worse else NEUTRAL
            low, high = (100 * bound for bound in task.ci95)
            axes.hlines(row, low, high, color=colour, linewidth=1.2, zorder=2)
            axes.plot([100 * task.gain], [row], "o", color=colour, markersize=4, zorder=3)
        low, high = (100 * bound for bound in effects.macro_ci95)
        axes.hlines(count + 0.4, low, high, color=INK, linewidth=2, zorder=2)
        axes.plot([100 * effects.macro_gain], [count + 0.4], "D", color=INK, markersize=5, zorder=3)
        names = [f"{shortened(name)} ({task.n})" for name, task in effects.tasks.items()]
        ticks, size = [*range(count), count + 0.4], 8 if count <= 40 else 6.5
        axes.set_yticks(ticks, [*names, "macro average"], fontsize=size)
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.set_ylim(count + 1.1, -0.7)
        zero_line(axes, vertical=True)
        span_at_least(axes, -5, 5, horizontal=True)
        axes.set_xlabel("gain in accuracy (points), paired 95 % intervals; in brackets: items")
        axes.set_title(
            f"layer {effects.layer} knocked out: {len(effects.better)} better, "
            f"{len(effects.worse)} worse at a 5 % false discovery rate",
            fontsize=8.5,
        )
    return path
