"""Does a layer chosen on one task help the others? On items that chose nothing.

Cell (A, B) is the gain on B's unseen items of the layer that A's probing items chose. Items of B
that also occur among A's probing items (benchmarks are drawn from one another) are removed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.canvas import INK, colour_bar, figure, heat_map, shortened
from talo_export.evidence.confirmation import Verdict, verdict_of
from talo_export.evidence.grid import Array, Counts, Grid
from talo_export.evidence.paired import cluster, gain_interval, right
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.wording import signed

MOST_NUMBERED = 16
"""Up to this many tasks the gain stands in each cell."""


@dataclass(frozen=True)
class TaskRun:
    """One task's run: its choice, and the scores of both halves.

    `contents` maps an item id to a fingerprint of what is asked; where given, two items are the
    same when these are equal, else when their groups (image hashes) are.
    """

    knockout: Knockout | None
    probe: ScoreTable
    unseen: ScoreTable
    contents: Mapping[str, str] | None = None

    def identities(self, table: ScoreTable) -> list[str]:
        """What makes each item of a table the same as one of another task."""
        if self.contents is None:
            return list(table.groups)
        return [self.contents[item_id] for item_id in table.item_ids]


@dataclass(frozen=True)
class Transfer(Recorded):
    """T x T: row the task that chose, column the task it is applied to. Gains are shares."""

    tasks: tuple[str, ...]
    layers: tuple[int | None, ...]
    """Chosen by each task; None keeps the base, and its row is NaN."""
    gains: Grid
    low: Grid
    high: Grid
    n: Counts
    removed: Counts
    """Items of the column's task left out because the row's task probed with them."""
    verdicts: tuple[tuple[Verdict | None, ...], ...]
    """None where the column's task was never scored with that layer knocked out."""

    @derived
    def mean_gain_own(self) -> float:
        """Mean gain of a chosen layer on its own task's unseen items."""
        return _mean(np.diagonal(self.gains))

    @derived
    def mean_gain_abroad(self) -> float:
        """Mean gain on all other tasks."""
        return _mean(self.gains[~np.eye(len(self.tasks), dtype=bool)])

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        verdicts = [
            verdict
            for a, row in enumerate(self.verdicts)
            for b, verdict in enumerate(row)
            if a != b and verdict is not None
        ]
        return (
            f"A chosen layer gains {_points(self.mean_gain_own)} points on unseen items of its own "
            f"task and {_points(self.mean_gain_abroad)} on those of other tasks, on average; of "
            f"{len(verdicts)} applications to another task {verdicts.count('confirmed')} gain and "
            f"{verdicts.count('harmful')} lose beyond their paired 95 % interval."
        )


def transfer(runs: Mapping[str, TaskRun], *, seed: int, resamples: int = 2_000) -> Transfer:
    """Apply every task's chosen layer to every task's unseen items.

    Raises TaloError for fewer than two tasks.
    """
    if len(runs) < 2:
        raise TaloError(f"Transfer needs at least two tasks, not {len(runs)}.")
    shape = (len(runs), len(runs))
    gains, low, high = (np.full(shape, np.nan) for _ in range(3))
    n, removed = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    verdicts: list[list[Verdict | None]] = [[None] * len(runs) for _ in runs]
    answers = [right(run.unseen) for run in runs.values()]
    for a, source in enumerate(runs.values()):
        probed = set(source.identities(source.probe))
        for b, target in enumerate(runs.values()):
            table, knockout = target.unseen, source.knockout
            foreign = np.array([who not in probed for who in target.identities(table)], dtype=bool)
            removed[a, b] = len(foreign) - foreign.sum()
            if knockout is None or knockout not in table.variants:
                continue
            base, row = table.row(None), table.row(knockout)
            kept = np.flatnonzero(foreign & table.scored[base] & table.scored[row])
            if not len(kept):
                continue
            change = answers[b][row, kept].astype(np.int64) - answers[b][base, kept]
            clusters = cluster(change, [table.groups[column] for column in kept])
            interval = gain_interval(clusters, seed=seed, resamples=resamples)
            gains[a, b], (low[a, b], high[a, b]) = clusters.mean, interval
            n[a, b], verdicts[a][b] = len(kept), verdict_of(interval)
    layers = tuple(None if r.knockout is None else r.knockout.layer for r in runs.values())
    rows = tuple(map(tuple, verdicts))
    return Transfer(tuple(runs), layers, gains, low, high, n, removed, verdicts=rows)


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _points(share: float) -> str:
    return "unknown" if np.isnan(share) else signed(share)


def analyse(runs: Runs) -> Analysed:
    """Of two runs or more."""
    variants = sorted({run.knockout for run in runs.by_task.values() if run.knockout is not None})
    if not variants:
        raise TaloError(
            "none of the runs selected a layer, so there is nothing to transfer; "
            "`talo-export analyze heatmap` shows what every layer does on every task."
        )
    tasks = {
        task: TaskRun(
            run.knockout, run.probed, runs.more.unseen(task, variants), runs.more.contents(task)
        )
        for task, run in runs.by_task.items()
    }
    result = transfer(tasks, seed=runs.seed)
    title = "Gain of the layer chosen on one task, applied to another"
    return Analysed(result, partial(draw_transfer, result, title=title))


def draw_transfer(result: Transfer, path: Path, *, title: str, svg: bool = False) -> Path:
    """Gains in points; a dot marks a gain or loss whose interval excludes 0."""
    from matplotlib.patches import Rectangle

    count = len(result.tasks)
    shown = 100 * result.gains
    cell = 0.42 if count <= MOST_NUMBERED else max(0.13, 6.5 / count)
    width, height = 3.6 + cell * count, 3.0 + cell * count
    with figure(path, max(width, 6.2), max(height, 4.2), title=title, svg=svg) as drawing:
        axes = drawing.add_subplot()
        image = heat_map(axes, shown, aspect="auto")
        size = 8 if count <= 40 else 6
        labels = [shortened(task, 28) for task in result.tasks]
        chosen = ["base" if layer is None else f"layer {layer}" for layer in result.layers]
        rows = [f"{label} · {layer}" for label, layer in zip(labels, chosen, strict=True)]
        axes.set_yticks(range(count), rows, fontsize=size)
        axes.set_xticks(range(count), labels, rotation=90, fontsize=size)
        axes.tick_params(length=2)
        for side in axes.spines.values():
            side.set_visible(False)
        for a in range(count):
            for b in range(count):
                verdict = result.verdicts[a][b]
                if verdict is None:
                    continue
                certain = verdict in ("confirmed", "harmful")
                if count <= MOST_NUMBERED:
                    strong = abs(shown[a, b]) > 0.75 * image.get_clim()[1]
                    axes.text(b, a, _points(result.gains[a, b]), ha="center", va="center",
                              fontsize=7, color="white" if strong else INK,
                              fontweight="bold" if certain else "normal")  # fmt: skip
                elif certain:
                    axes.plot([b], [a], ".", color=INK, markersize=2.5)
        for own in range(count):
            axes.add_patch(Rectangle((own - 0.5, own - 0.5), 1, 1, fill=False, edgecolor=INK,
                                     linewidth=1.0 if count <= 40 else 0.5))  # fmt: skip
        axes.set_xlabel("applied to, unseen items only", fontsize=8.5)
        axes.set_ylabel("layer chosen on", fontsize=8.5)
        mark = "bold" if count <= MOST_NUMBERED else "dot"
        items = _items(result.n[result.n > 0])
        axes.set_title(
            f"own task {_points(result.mean_gain_own)}, other tasks "
            f"{_points(result.mean_gain_abroad)} points on average · {items}\n"
            f"{mark}: paired 95 % interval excludes 0 · framed: own task · grey: not scored",
            fontsize=8.5,
        )
        shrink = min(0.6, 3.5 / height)
        colour_bar(drawing, image, "gain (points)", shrink=shrink, aspect=25, pad=0.01)
    return path


def _items(known: NDArray[np.int64]) -> str:
    if not len(known):
        return "no cell measured"
    least, most = int(known.min()), int(known.max())
    return f"{most} items a cell" if least == most else f"{least} to {most} items a cell"
