"""What a notebook shows of a result: the page that the command prints."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from talo_export.checkpoint.diff import CheckpointDiff
from talo_export.cli.analyze import show_analysis
from talo_export.cli.diff import show_diff
from talo_export.cli.doctor import show_examination
from talo_export.cli.output import inert_console
from talo_export.cli.push import show_push
from talo_export.cli.show_compare import show_compare, show_estimate
from talo_export.cli.show_evaluate import show_evaluate, show_evaluations
from talo_export.cli.show_export import show_export
from talo_export.cli.show_inspect import show_inspect
from talo_export.cli.show_items import show_items
from talo_export.cli.show_many import show_many
from talo_export.cli.show_probe import show_probe
from talo_export.cli.show_tasks import show_check, show_tasks
from talo_export.cli.show_verify import show_verify
from talo_export.codec import Recorded
from talo_export.commands.analyze import AnalysisResult
from talo_export.commands.compare import Estimate
from talo_export.commands.evaluate import EvaluateResult
from talo_export.commands.evaluate_many import EvaluationsResult
from talo_export.commands.export import ExportResult
from talo_export.commands.inspect import Inspection
from talo_export.commands.probe_many import ManyResult
from talo_export.commands.shown_items import ShownItems
from talo_export.commands.tasks import TaskCheck, TaskList
from talo_export.commands.verify import VerifyResult
from talo_export.publish.doctor import Examination
from talo_export.publish.push import PushResult
from talo_export.runs.comparison import Comparison
from talo_export.runs.result import ProbeResult

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110
"""Columns."""

SHOWS: dict[type[Recorded], Callable[[Any, Console], None]] = {
    AnalysisResult: show_analysis,
    CheckpointDiff: show_diff,
    Comparison: show_compare,
    Estimate: show_estimate,
    EvaluateResult: show_evaluate,
    EvaluationsResult: show_evaluations,
    Examination: show_examination,
    ExportResult: show_export,
    Inspection: show_inspect,
    ManyResult: show_many,
    ProbeResult: show_probe,
    PushResult: show_push,
    ShownItems: show_items,
    TaskCheck: show_check,
    TaskList: show_tasks,
    VerifyResult: show_verify,
}


def as_html(result: Recorded) -> str | None:
    """None for a value that no command shows: then its `repr` stands."""
    show = next((SHOWS[kind] for kind in type(result).__mro__ if kind in SHOWS), None)
    if show is None:
        return None
    page = inert_console(record=True, file=io.StringIO(), width=WIDTH)
    show(result, page)
    return page.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
