"""Other things to knock out, or to put in their place: fills, and modules.

Which one *finds more* is judged by the cross-validated gain of the selection: the best gain of a
sweep rewards whatever is noisiest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from talo_export.codec import Field, Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.canvas import (
    CHOSEN,
    FAINT,
    GAIN,
    INK,
    NEUTRAL,
    figure,
    span_at_least,
    zero_line,
)
from talo_export.evidence.cross_validation import cross_validate
from talo_export.evidence.differences import Differences, differences
from talo_export.evidence.grid import Array, Grid, correlation
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable
from talo_export.wording import count, points, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Alternative:
    """One fill or module over all tasks. Shares."""

    name: str
    mean_gain: float
    """Over all tasks and layers."""
    helps: float
    """Share of task-layer pairs with a positive gain."""
    best_gain: float
    """Mean over tasks of the best layer's gain: optimistic."""
    cross_validated_gain: float
    """Mean over tasks of what choosing a layer gains on items that did not choose it."""


@dataclass(frozen=True)
class Alternatives(Recorded):
    """Alternatives on the same task-layer pairs."""

    kind: Literal["fill", "module"]
    tasks: tuple[str, ...]
    n: tuple[int, ...]
    """Items of each task."""
    layers: tuple[int, ...]
    alternatives: tuple[Alternative, ...]
    correlation: Mapping[str, float]
    """Of every two alternatives' gains over task-layer pairs, under `a-b`."""
    gains: Annotated[Grid, Field(exclude=True)]
    """(K, T, L) shares."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the alternatives, in order."""
        return tuple(alternative.name for alternative in self.alternatives)

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        best_first = sorted(self.alternatives, key=lambda each: -each.cross_validated_gain)
        each = ", ".join(
            f"{each.name} {points(each.cross_validated_gain)} (best layer, optimistic: "
            f"{signed(each.best_gain)})"
            for each in best_first
        )
        alike = ", ".join(f"{pair} {value:.2f}" for pair, value in self.correlation.items())
        return (
            f"Mean cross-validated gain of choosing a layer over {count(len(self.tasks), 'task')}: "
            f"{each}; correlation of the gains over "
            f"{len(self.tasks) * len(self.layers):,} task-layer pairs: {alike}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; each alternative's name stands under what it is, `fill` or `module`."""
        document = super().to_json()
        for each in document["alternatives"]:
            each[self.kind] = each.pop("name")
        return document


def compare(
    kind: Literal["fill", "module"],
    tables: Mapping[str, ScoreTable],
    kinds: Mapping[str, tuple[Scope, Fill]],
    seed: int,
) -> Alternatives:
    """Name -> scope and fill: what each finds on the layers that all were measured on.

    Raises TaloError without tables, for fewer than two kinds, or without a common layer.
    """
    if not tables:
        raise TaloError(f"There are no scores to compare by {kind}. Name at least one run.")
    if len(kinds) < 2:
        raise TaloError(f"Comparing by {kind} needs at least two of them.")
    sweeps = {
        name: [differences(table, scope=scope, fill=fill) for table in tables.values()]
        for name, (scope, fill) in kinds.items()
    }
    everywhere = [set(sweep.layers) for of_kind in sweeps.values() for sweep in of_kind]
    layers = sorted(set.intersection(*everywhere))
    if not layers:
        raise TaloError(f"No layer was measured with every {kind} on every task: sweep more.")
    gains = np.array([[_gains(sweep, layers) for sweep in sweeps[name]] for name in kinds])
    alike = correlation(gains.reshape(len(kinds), -1))
    return Alternatives(
        kind=kind,
        tasks=tuple(tables),
        layers=tuple(layers),
        n=tuple(sweep.n_items for sweep in next(iter(sweeps.values()))),
        alternatives=tuple(
            Alternative(
                name=name,
                mean_gain=float(gains[k].mean()),
                helps=float((gains[k] > 0).mean()),
                best_gain=float(np.maximum(gains[k].max(axis=1), 0).mean()),
                cross_validated_gain=float(
                    np.mean([_blind(sweep, seed) for sweep in sweeps[name]])
                ),
            )
            for k, name in enumerate(kinds)
        ),
        gains=gains,
        correlation={
            f"{a}-{b}": float(alike[i, j]) for (i, a), (j, b) in combinations(enumerate(kinds), 2)
        },
    )


def analyse_by(
    kind: Literal["fill", "module"], kinds: Mapping[str, tuple[Scope, Fill]], runs: Runs, title: str
) -> Analysed:
    """`compare` on the probing items of the runs, with its figure."""
    result = compare(kind, runs.more.probed_with(list(kinds.values())), kinds, runs.seed)
    return Analysed(result, partial(draw_alternatives, result, title=title))


def _gains(sweep: Differences, layers: list[int]) -> Array:
    means = sweep.accuracy.mean(axis=0)
    return means[[sweep.layers.index(layer) for layer in layers]]


def _blind(sweep: Differences, seed: int) -> float:
    folds = min(5, sweep.n_groups)
    return cross_validate(sweep, folds=folds, seed=seed).gain if folds >= 2 else 0.0


def draw_alternatives(result: Alternatives, path: Path, *, title: str, svg: bool = False) -> Path:
    """A scatter of task-layer pairs for each two, then the gain each finds."""
    couples = list(combinations(range(len(result.names)), 2))
    width = 2.5 * (len(couples) + 1)
    with figure(path, width, 3.3, title=title, svg=svg) as drawing:
        panels = drawing.subplots(1, len(couples) + 1)
        reach = max(5.0, 105 * float(np.abs(result.gains).max()))
        for axes, (a, b) in zip(panels[:-1], couples, strict=True):
            axes.grid(color=FAINT, linewidth=0.6, zorder=0)
            axes.plot([-reach, reach], [-reach, reach], color=NEUTRAL, linewidth=0.7, zorder=1)
            _draw_points(axes, 100 * result.gains[a].ravel(), 100 * result.gains[b].ravel())
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.set_box_aspect(1)
            axes.set_xlabel(f"{result.names[a]}: gain (points)")
            axes.set_ylabel(f"{result.names[b]}: gain (points)", labelpad=0)
            alike = result.correlation[f"{result.names[a]}-{result.names[b]}"]
            axes.set_title(f"r = {alike:.2f}", fontsize=8.5)
        last = panels[-1]
        at = np.arange(len(result.names))
        last.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        last.bar(at - 0.2, [100 * each.best_gain for each in result.alternatives], width=0.36,
                 color="#BBBBBB", label="best layer (optimistic)", zorder=2)  # fmt: skip
        last.bar(at + 0.2, [100 * each.cross_validated_gain for each in result.alternatives],
                 width=0.36, color=CHOSEN, label="cross-validated", zorder=2)  # fmt: skip
        zero_line(last)
        last.set_xticks(at, result.names, color=INK)
        last.set_ylabel("mean gain over tasks (points)")
        top = max(100 * each.best_gain for each in result.alternatives)
        last.set_ylim(top=max(5.0, 1.45 * top))
        span_at_least(last, -1, 5)
        last.legend(loc="upper right", fontsize=7)
        last.set_title(
            f"{count(len(result.tasks), 'task')}, {sum(result.n):,} items, "
            f"{len(result.layers)} layers",
            fontsize=8.5,
        )
    return path


def _draw_points(axes: Axes, across: Array, up: Array) -> None:
    """Accuracies come in steps, so that thousands of pairs lie on few points: more are darker."""
    (x, y), counts = np.unique(np.round([across, up], 6), axis=1, return_counts=True)
    weight = np.log1p(counts) / np.log1p(max(counts.max(), 4))
    axes.scatter(x, y, s=7, color=GAIN, alpha=0.2 + 0.8 * weight, linewidths=0, zorder=2)
