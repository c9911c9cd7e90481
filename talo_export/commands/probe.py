"""`talo-export probe`: the main job, on one task or on many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.commands.many import means_many, show_failures
from talo_export.commands.probe_page import COLOURS, show_probe
from talo_export.commands.probe_task import run_probe
from talo_export.commands.probe_tasks import ManyResult, TaskRow, run_probes
from talo_export.commands.tables import table_of
from talo_export.probing.distributed import joined_world
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.measurements import ProbeRequest
from talo_export.runs.result import ProbeResult
from talo_export.wording import percent

if TYPE_CHECKING:
    from rich.console import Console


NARROW = 100
"""Columns of a terminal below which the table does with fewer of its own."""


def show_many(many: ManyResult, to: Console) -> None:
    """Print the table of `probe --task 'PATTERN'`."""
    from rich.text import Text

    narrow = to.width < NARROW
    heads = (
        (">base", ">layer, gain") if narrow else (">items", ">base", ">best layer", ">probe gain")
    )
    table = table_of("task", *heads, ">confirmed gain", "verdict")
    for row in many.tasks:
        layer, gain = _best(row)
        base = "-" if row.base_accuracy is None else percent(row.base_accuracy)
        table.add_row(
            row.task,
            *((base, f"{layer} {gain}") if narrow else (f"{row.items:,}", base, layer, gain)),
            _confirmed(row),
            Text(row.verdict or "not asked", style=COLOURS.get(row.verdict or "", "")),
        )
    to.print(table)
    to.print(
        "gains in points of accuracy, with paired 95 % intervals on items never probed; where the "
        "base was kept, its accuracy is on the probing items, and what led them is in parentheses",
        style="dim",
    )
    to.print(many_summary(many))
    if many.discoveries:
        to.print(many.discoveries.sentence)
    show_failures(many.failed, to)
    to.print(f"wrote {many.table} and {many.table_json}")
    if many.failures:
        to.print(f"tracebacks of what nobody foresaw: {many.failures}")


def many_summary(many: ManyResult) -> str:
    """One sentence: how many of each verdict."""
    verdicts: list[str] = [row.verdict or "" for row in many.tasks]
    counted = ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(filter(None, verdicts))
    )
    failed = f", {len(many.failed)} failed" if many.failed else ""
    noun = "task" if len(verdicts) == 1 else "tasks"
    return f"{len(verdicts)} {noun}: {counted or 'nothing selected'}{failed}"


def _best(row: TaskRow) -> tuple[str, str]:
    """The chosen layer and its gain on the probing items; in parentheses the one that led them."""
    if row.layer is not None:
        return str(row.layer), _points(row.probe_gain)
    if row.best_layer is None:
        return "-", "-"
    return f"({row.best_layer})", f"({_points(row.best_probe_gain)})"


def _confirmed(row: TaskRow) -> str:
    if row.layer is None or row.gain is None:
        return "-"
    return f"{_points(row.gain)} [{_points(row.ci_low)}, {_points(row.ci_high)}]"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"


def run(request: ProbeRequest, reporter: Reporter = SILENT) -> ProbeResult | ManyResult:
    """Probe a task, or every task that the name means; started by several processes, as one."""
    with joined_world() as world:
        if means_many(request.task):
            return run_probes(request, reporter, world)
        return run_probe(request, reporter, world)


def summary(result: ProbeResult | ManyResult) -> str:
    """The one sentence that `--quiet` prints."""
    return many_summary(result) if isinstance(result, ManyResult) else result.finding


def show(result: ProbeResult | ManyResult, to: Console) -> None:
    """The result, or the table of many."""
    if isinstance(result, ManyResult):
        show_many(result, to)
    else:
        show_probe(result, to)


def exit_status(result: ProbeResult | ManyResult) -> int:
    """1 where a task of many could not be done."""
    return 1 if isinstance(result, ManyResult) and result.failed else 0
