"""Task-layer interaction vectors: what knocking out each layer does to each task.

v(T)[l] = accuracy with layer l knocked out - accuracy of the base, on the items both answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.canvas import INK, colour_bar, figure, heat_map, shortened
from talo_export.evidence.grid import Array
from talo_export.evidence.paired import knockouts_of, right
from talo_export.evidence.runs import Analysed, Runs
from talo_export.evidence.selection import layer_moments
from talo_export.foreign_text import csv_table
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable
from talo_export.wording import count, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("task", "layer", "scope", "fill", "n", "base_accuracy", "gain", "standard_error")


@dataclass(frozen=True)
class TaskVector:
    """One task. Shares; NaN for a layer that was not measured."""

    task: str
    n: int
    base_accuracy: float
    gains: tuple[float, ...]
    standard_errors: tuple[float, ...]
    """Of each gain, paired, items independent."""


@dataclass(frozen=True)
class InteractionVectors(Recorded):
    """Tasks and the layers their vectors are over."""

    layers: tuple[int, ...]
    scope: Scope
    fill: Fill
    tasks: tuple[TaskVector, ...]

    @property
    def gains(self) -> Array:
        """(T, L) shares, NaN where a layer was not measured."""
        return np.array([row.gains for row in self.tasks])

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a task and layer, under `COLUMNS`; unmeasured layers are left out."""
        for row in self.tasks:
            for layer, gain, error in zip(self.layers, row.gains, row.standard_errors, strict=True):
                if np.isnan(gain):
                    continue
                known = None if np.isnan(error) else error
                values = (row.task, layer, self.scope, self.fill, row.n, row.base_accuracy, gain,
                          known)  # fmt: skip
                yield dict(zip(COLUMNS, values, strict=True))

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        best = np.where(np.isfinite(self.gains), self.gains, -np.inf)
        helped = int((best.max(axis=1) > 0).sum())
        row, column = np.unravel_index(int(best.argmax()), best.shape)
        task, many = self.tasks[row], len(self.tasks) > 1
        where = f" on {task.task}" if many else ""
        of = f"of {count(len(self.tasks), 'task')}"
        if best[row, column] <= 0:
            return f"On none {of} does any layer's knockout gain accuracy on the probing items."
        return (
            f"On {helped} {of} the knockout of some layer gains accuracy on the probing items; the "
            f"most, {points(best[row, column])} on {task.n} items, layer "
            f"{self.layers[column]}{where}: the best of {best.size:,}, and so partly luck."
        )


def interaction_vectors(
    tables: Mapping[str, ScoreTable], *, scope: Scope = "attention", fill: Fill = "zero"
) -> InteractionVectors:
    """The vectors of several tasks of one model, in the order given.

    Raises TaloError where there is no task, or one without knockouts of this scope and fill.
    """
    if not tables:
        raise TaloError("There are no scores to make vectors of. Name at least one finished run.")
    by_task: dict[str, dict[int, tuple[float, float]]] = {}
    for task, table in tables.items():
        wanted = knockouts_of(table, scope, fill)
        if not wanted:
            raise TaloError(
                f"The run of {task!r} holds no knockout of scope {scope!r} and fill {fill!r}. "
                "Leave it out, or sweep that scope and fill first."
            )
        moment = layer_moments(table, [table.row(k) for k in wanted]).accuracy
        pairs = zip(moment.mean.tolist(), moment.error.tolist(), strict=True)
        by_task[task] = {k.layer: pair for k, pair in zip(wanted, pairs, strict=True)}
    layers = tuple(sorted({layer for vector in by_task.values() for layer in vector}))
    blank = (float("nan"), float("nan"))
    rows = []
    for task, vector in by_task.items():
        gains, errors = zip(*(vector.get(layer, blank) for layer in layers), strict=True)
        base = tables[task].row(None)
        seen = tables[task].scored[base]
        accuracy = float(right(tables[task])[base][seen].mean())
        rows.append(TaskVector(task, int(seen.sum()), accuracy, gains, errors))
    return InteractionVectors(layers, scope, fill, tuple(rows))


def write_vectors(vectors: InteractionVectors, path: Path) -> Path:
    """Write one row a task and layer as CSV or Parquet, by the file's suffix."""
    rows = list(vectors.rows())
    if path.suffix == ".csv":
        path.write_bytes(csv_table(COLUMNS, rows, end="\r\n").encode())
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        raise UsageError(f"Vectors are written as .csv or .parquet, not as {path.name!r}.")
    return path


def analyse(runs: Runs) -> Analysed:
    """Of one run or many."""
    vectors = interaction_vectors(runs.probed())
    return Analysed(
        vectors,
        partial(draw_vectors, vectors, title="Task-layer interaction"),
        {ending: partial(write_vectors, vectors) for ending in (".csv", ".parquet")},
    )


def draw_vectors(
    vectors: InteractionVectors,
    path: Path,
    *,
    title: str,
    order: Sequence[str] | None = None,
    groups: Sequence[int] = (),
    draw_left: Callable[[Axes], None] | None = None,
    svg: bool = False,
) -> Path:
    """Tasks x layers in points, blue gains, vermilion losses; a ring marks each task's best layer.

    `order` names the tasks as they stand; lines part those of different `groups`; `draw_left`
    draws beside their rows.
    """
    place = {row.task: at for at, row in enumerate(vectors.tasks)}
    rows = [place[task] for task in order or place]
    tasks, shown = [vectors.tasks[row] for row in rows], 100 * vectors.gains[rows]
    many, depth = shown.shape
    height = 2.1 + max(0.14 * many, 0.26 * min(many, 12))
    width = 4.6 + max(0.085 * depth, 0.2 * min(depth, 20)) + (0.9 if draw_left else 0)
    with figure(path, width, height, title=title, svg=svg) as drawing:
        if draw_left is not None:
            left, axes = drawing.subplots(1, 2, width_ratios=[0.9, width - 3.4])
            draw_left(left)
        else:
            axes = drawing.add_subplot()
        _draw_cells(axes, vectors.layers, tasks, shown)
        for row in range(1, len(groups)):
            if groups[row] != groups[row - 1]:
                axes.axhline(row - 0.5, color=INK, linewidth=1.1)
        grey = "" if np.isfinite(shown).all() else "; grey: not measured"
        means = (
            "gain in accuracy when the layer is knocked out (points)\n"
            f"ring: the task's best layer; in brackets: items{grey}"
        )
        colour_bar(drawing, axes.images[0], means, location="bottom", aspect=40, shrink=0.6,
                   pad=0.12 / height)  # fmt: skip
    return path


def _draw_cells(
    axes: Axes, layers: Sequence[int], tasks: Sequence[TaskVector], shown: Array
) -> None:
    heat_map(axes, shown, aspect="auto", interpolation="nearest")
    best = np.where(np.isfinite(shown), shown, -np.inf).argmax(axis=1)
    gains = shown[np.arange(len(tasks)), best] > 0
    axes.plot(best[gains], np.flatnonzero(gains), "o", markersize=3.2, markerfacecolor="none",
              markeredgecolor=INK, markeredgewidth=0.8)  # fmt: skip
    size = 8 if len(tasks) <= 40 else 6.5
    names = [f"{shortened(row.task)} ({row.n})" for row in tasks]
    axes.set_yticks(range(len(tasks)), names, fontsize=size)
    axes.yaxis.tick_right()
    step = max(1, -(-len(layers) // 20))
    axes.set_xticks(range(0, len(layers), step), [str(layer) for layer in layers[::step]])
    axes.tick_params(length=2)
    axes.set_xlabel("decoder layer knocked out")
    for side in axes.spines.values():
        side.set_visible(False)
