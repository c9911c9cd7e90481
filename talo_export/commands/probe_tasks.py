"""Many tasks, one sweep each: the model is loaded once, every task has its own run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import Field, Recorded, to_json
from talo_export.commands.many import Failure, LazyModel, Outcomes, each_task, references
from talo_export.commands.probe_task import run_probe
from talo_export.commands.side_effects import note_side_effects
from talo_export.evidence.confirmation import Verdict
from talo_export.evidence.discoveries import Discoveries
from talo_export.foreign_text import csv_table
from talo_export.probing.distributed import ALONE, World
from talo_export.reporting import Reporter
from talo_export.requests.measurements import ProbeRequest
from talo_export.runs.directory import default_directory
from talo_export.runs.meaning import discoveries
from talo_export.runs.result import ProbeResult


@dataclass(frozen=True)
class TaskRow:
    """One line of the table."""

    task: str
    items: int
    base_accuracy: float | None
    """On the items that confirmed the layer; on the probing ones where the base is kept."""
    best_layer: int | None
    """That of the probe's highest gain."""
    best_probe_gain: float | None
    layer: int | None
    """The one chosen."""
    probe_gain: float | None
    confirm_n: int | None
    gain: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class ManyResult(Recorded):
    """Many probes of one model: the document of `probe --task 'PATTERN' --json`.

    `table` and the like are None in a process that is not rank zero: it writes nothing.
    """

    model: str
    tasks: tuple[TaskRow, ...]
    failed: tuple[Failure, ...]
    discoveries: Discoveries | None
    runs: tuple[Path, ...]
    table: Path | None = None
    table_json: Path | None = None
    failures: Path | None = None
    """Tracebacks of what nobody foresaw."""
    results: Annotated[tuple[ProbeResult, ...], Field(exclude=True)] = ()
    """Each run's own."""


def run_probes(request: ProbeRequest, reporter: Reporter, world: World = ALONE) -> ManyResult:
    """Probe every task that `request.task` names; below `request.out` a run for each.

    A task that fails is reported in `failed` and does not lose the others. The table is also
    written beside the runs, as `table.csv` and `table.json`.
    """
    wanted = references(request, model_is_demo=request.is_demo)
    folder = request.out or default_directory(request.model_name, "any").parent

    def probe(reference: str, model: LazyModel) -> ProbeResult:
        run = folder / default_directory("", reference).name
        one = replace(request, task=reference, out=run)
        return run_probe(one, reporter, world, model)

    outcomes = each_task(wanted, request, probe, reporter)
    results = outcomes.results
    many = ManyResult(
        model=request.model_name,
        tasks=tuple(map(_row, results)),
        failed=tuple(outcomes.failed),
        discoveries=discoveries(results),
        runs=tuple(result.run for result in results),
        results=tuple(results),
    )
    if not world.is_rank_zero:
        return many
    trusted = request.trust_remote_code
    note_side_effects(many.runs, data=request.data, trusted=trusted)
    return _written(folder, many, outcomes)


def _row(result: ProbeResult) -> TaskRow:
    probe, layer, confirm = result.probe, result.selected_layer, result.confirm
    low, high = (confirm and confirm.ci95) or (None, None)
    gains = {index: gain for index, gain in enumerate(probe.gains) if gain is not None}
    best = max(gains, key=lambda index: gains[index], default=None)
    return TaskRow(
        task=result.task,
        items=result.task_items,
        base_accuracy=probe.base_accuracy
        if layer is None or confirm is None
        else confirm.base_accuracy,
        best_layer=best,
        best_probe_gain=None if best is None else gains[best],
        layer=layer,
        probe_gain=None if layer is None else probe.gains[layer],
        confirm_n=None if confirm is None else confirm.n,
        gain=None if confirm is None else confirm.gain,
        ci_low=low,
        ci_high=high,
        p_value=None if confirm is None else confirm.p_value,
        verdict=result.verdict,
    )


def _written(folder: Path, many: ManyResult, outcomes: Outcomes[ProbeResult]) -> ManyResult:
    """With `table.csv` and `table.json` in `folder`, and `failures.txt` where there were bugs."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [to_json(row) for row in many.tasks]
    write_atomically(folder / "table.csv", table_csv(rows))
    document = {"tasks": rows, "failed": [to_json(failure) for failure in many.failed]}
    write_atomically(
        folder / "table.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    )
    if outcomes.traces:
        write_atomically(folder / "failures.txt", "\n".join(outcomes.traces))
    return replace(
        many,
        table=folder / "table.csv",
        table_json=folder / "table.json",
        failures=folder / "failures.txt" if outcomes.traces else None,
    )


def table_csv(rows: Sequence[dict[str, object]]) -> str:
    """The rows of the table as CSV."""
    return csv_table([field.name for field in fields(TaskRow)], rows)
