"""Does a layer chosen on task A help task B? The full matrix, on items that chose nothing.

Cell (A, B) is the gain on B's unseen items of the layer that A's probing items chose. Items of B
that also occur among A's probing items (benchmarks are drawn from one another) are removed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.evidence.confirmation import Verdict, verdict_of
from talo_export.evidence.paired import cluster, gain_interval, right
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable

Array = NDArray[np.float64]


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
class Transfer:
    """T x T: row the task that chose, column the task it is applied to. Gains are shares."""

    tasks: tuple[str, ...]
    layers: tuple[int | None, ...]
    """Chosen by each task; None keeps the base, and its row is NaN."""
    gains: Array
    low: Array
    high: Array
    n: NDArray[np.int64]
    removed: NDArray[np.int64]
    """Items of the column's task left out because the row's task probed with them."""
    verdicts: tuple[tuple[Verdict | None, ...], ...]
    """None where the column's task was never scored with that layer knocked out."""

    @property
    def own(self) -> float:
        """Mean gain of a chosen layer on its own task's unseen items."""
        return _mean(np.diagonal(self.gains))

    @property
    def abroad(self) -> float:
        """Mean gain on all other tasks."""
        return _mean(self.gains[~np.eye(len(self.tasks), dtype=bool)])

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        verdicts = [
            verdict
            for a, row in enumerate(self.verdicts)
            for b, verdict in enumerate(row)
            if a != b and verdict is not None
        ]
        return (
            f"A chosen layer gains {_points(self.own)} points on unseen items of its own task and "
            f"{_points(self.abroad)} on those of other tasks, on average; of {len(verdicts)} "
            f"applications to another task {verdicts.count('confirmed')} gain and "
            f"{verdicts.count('harmful')} lose beyond their 95 % interval."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where not measured."""
        return {
            "sentence": self.sentence,
            "tasks": list(self.tasks),
            "layers": list(self.layers),
            "gains": _plain(self.gains),
            "low": _plain(self.low),
            "high": _plain(self.high),
            "n": self.n.tolist(),
            "removed": self.removed.tolist(),
            "verdicts": [list(row) for row in self.verdicts],
            "mean_gain_own": _number(self.own),
            "mean_gain_abroad": _number(self.abroad),
        }


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
    return Transfer(
        tasks=tuple(runs),
        layers=tuple(None if r.knockout is None else r.knockout.layer for r in runs.values()),
        gains=gains,
        low=low,
        high=high,
        n=n,
        removed=removed,
        verdicts=tuple(map(tuple, verdicts)),
    )


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _points(share: float) -> str:
    return "unknown" if np.isnan(share) else f"{100 * share:+.1f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _plain(values: Array) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in values.tolist()]
