"""From cells to the table: one row for each method and number of shots."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Annotated

import numpy as np

from talo_export.baselines.request import CellRequest, CellResult
from talo_export.codec import Field, Recorded
from talo_export.evidence.paired import Clusters, cluster, gain_interval, sign_flip_p_value
from talo_export.foreign_text import csv_cell
from talo_export.tasks.item import Task
from talo_export.wording import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Recorded):
    """A method at a number of shots, over its seeds: an entry of `methods` in `compare --json`.

    Accuracy, spread and costs are over the cells that were tested, memory is the largest peak of
    any cell. The interval and p-value are of the gain over the base, paired by item and clustered
    by group, with all seeds' answers to an item in its cluster: they speak for items, `spread`
    for seeds.
    """

    method: Annotated[str, Field(alias="name")]
    shots: int
    seeds: int
    """Cells tested."""
    accuracy: float | None
    accuracy_sd: float | None
    gain: float | None
    gain_sd: float | None
    p_value: float | None
    unparsed: float | None
    peak_memory_bytes: int | None
    peak_reserved_bytes: int | None
    seconds: float | None
    """Of adapting: probing, training, fitting."""
    test_seconds: float | None
    inference_overhead: float | None
    """Extra time to answer the test items, as a share of the base's."""
    trainable_parameters: int
    forward_passes: int
    backward_passes: int
    artifact_bytes: int
    statuses: Mapping[str, int]
    """How many cells ended so."""
    not_done: str | None = None
    """`1 of 3 diverged`: the cells that have no accuracy, None where there are none."""
    reasons: Annotated[
        tuple[str, ...] | None, Field(exclude_if=lambda reasons: reasons is None)
    ] = None
    """Why cells were not done; None in what is published: it may name files of a machine."""
    gain_ci95: tuple[float, float] | None
    layers: tuple[int | None, ...]
    """The layer knocked out, by seed; None where the base was kept."""
    notes: tuple[str, ...] = ()
    """What a reader of the row should know besides, one sentence each."""

    @property
    def label(self) -> str:
        """The method with its shots and seeds, as cards and pages name the row."""
        if not self.shots:
            return self.method
        return f"{self.method}, {self.shots} shots, {count(sum(self.statuses.values()), 'seed')}"


COLUMNS = (
    "name", "shots", "seeds", "accuracy", "accuracy_sd", "gain", "gain_sd", "p_value", "unparsed",
    "peak_memory_bytes", "peak_reserved_bytes", "seconds", "test_seconds", "inference_overhead",
    "trainable_parameters", "forward_passes", "backward_passes", "artifact_bytes",
)  # fmt: skip


def summarise(
    task: Task,
    requests: Sequence[CellRequest],
    results: Mapping[str, CellResult],
    *,
    seed: int = 0,
) -> tuple[Row, ...]:
    """One row a method and number of shots, in the order of the requests."""
    groups = {item.id: item.group for item in task.items}
    bases = {r.seed: results[r.name] for r in requests if r.method == "base"}
    cells: dict[tuple[str, int], list[CellRequest]] = {}
    for request in requests:
        cells.setdefault((request.method, request.shots), []).append(request)
    return tuple(
        _row(method, shots, [(r.seed, results[r.name]) for r in members], bases, groups, seed)
        for (method, shots), members in cells.items()
    )


def _row(
    method: str,
    shots: int,
    cells: Sequence[tuple[int, CellResult]],
    bases: Mapping[int, CellResult],
    groups: Mapping[str, str],
    seed: int,
) -> Row:
    tested = [(s, cell) for s, cell in cells if cell.status == "done"]
    done = [cell for _, cell in tested]
    accuracies = [cell.accuracy for cell in done if cell.accuracy is not None]
    paired = [(bases[s], cell) for s, cell in tested if s in bases and bases[s].correct]
    gains = [_gain(base, cell) for base, cell in paired]
    clusters = paired_clusters(paired, groups) if paired and method != "base" else None
    statuses = dict(Counter[str](cell.status for _, cell in cells))
    held = [p.peak_reserved_bytes for c in done for p in (c.adapt, c.test) if p]
    overhead = [
        cell.test.seconds / base.test.seconds - 1
        for base, cell in paired
        if cell.test and base.test and base.test.seconds
    ]
    return Row(
        method=method,
        shots=shots,
        seeds=len(done),
        accuracy=_mean(accuracies),
        accuracy_sd=_spread(accuracies),
        gain=None if clusters is None else clusters.mean,
        gain_sd=None if clusters is None else _spread(gains),
        p_value=None if clusters is None else sign_flip_p_value(clusters),
        unparsed=_mean([c.unparsed / len(c.correct) for c in done if c.correct]),
        peak_memory_bytes=max((cell.peak_memory_bytes for _, cell in cells), default=0) or None,
        peak_reserved_bytes=max((h for h in held if h is not None), default=None),
        seconds=_mean([cell.adapt.seconds for cell in done if cell.adapt]),
        test_seconds=_mean([cell.test.seconds for cell in done if cell.test]),
        inference_overhead=None if method == "base" else _mean(overhead),
        trainable_parameters=max((cell.trainable_parameters for cell in done), default=0),
        forward_passes=_whole([cell.adapt.forward_passes for cell in done if cell.adapt]),
        backward_passes=_whole([cell.adapt.backward_passes for cell in done if cell.adapt]),
        artifact_bytes=max((cell.artifact_bytes for cell in done), default=0),
        statuses=statuses,
        not_done=_not_done(statuses),
        reasons=tuple(dict.fromkeys(cell.reason for _, cell in cells if cell.reason)),
        gain_ci95=None if clusters is None else gain_interval(clusters, seed=seed),
        layers=tuple(cell.layer for cell in done),
        notes=_notes(shots, done),
    )


def _not_done(statuses: Mapping[str, int]) -> str | None:
    total = sum(statuses.values())
    lost = [f"{n} of {total} {status}" for status, n in statuses.items() if status != "done"]
    return ", ".join(lost) or None


def _notes(shots: int, done: Sequence[CellResult]) -> tuple[str, ...]:
    shown = [c.details["shots_shown"] for c in done if "shots_shown" in c.details]
    if not shown or min(shown) == shots:
        return ()
    fit = f"{min(shown)}" if min(shown) == max(shown) else f"{min(shown)} to {max(shown)}"
    return (f"the context has room for {fit} of the {shots} examples beside the longest item.",)


def paired_clusters(
    pairs: Sequence[tuple[CellResult, CellResult]], groups: Mapping[str, str]
) -> Clusters:
    """Differences (second minus first of each pair) of all pairs, by group of the item."""
    changes: list[int] = []
    members: list[str] = []
    for base, cell in pairs:
        for id_, right in cell.correct.items():
            if id_ in base.correct:
                changes.append(int(right) - int(base.correct[id_]))
                members.append(groups[id_])
    return cluster(np.array(changes, dtype=np.int64), members)


def to_csv(rows: Sequence[Row]) -> str:
    """The table as CSV: the JSON's plain columns, and the interval's two ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "gain_low", "gain_high", "not_done", "reasons"])
    for row in rows:
        values = row.to_json()
        low, high = row.gain_ci95 or (None, None)
        ends = (low, high, row.not_done, " ".join(row.reasons or ()))
        writer.writerow(map(csv_cell, [*(values[name] for name in COLUMNS), *ends]))
    return text.getvalue()


def _gain(base: CellResult, cell: CellResult) -> float:
    return mean(int(right) - int(base.correct[id_]) for id_, right in cell.correct.items())


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None


def _spread(values: Sequence[float]) -> float | None:
    """Standard deviation over seeds (n - 1), None for fewer than two."""
    return stdev(values) if len(values) > 1 else None


def _whole(values: Sequence[int]) -> int:
    return round(mean(values)) if values else 0
