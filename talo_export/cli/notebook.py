"""What a notebook shows of a result: the page that the command prints."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from talo_export.checkpoint.diff import CheckpointDiff
from talo_export.checkpoint.undo import UndoReport
from talo_export.cli.output import Sink, inert_console
from talo_export.cli.progress import TerminalReporter
from talo_export.codec import Recorded
from talo_export.commands import (
    analyze,
    ask,
    compare,
    diff,
    doctor,
    evaluate,
    export,
    inspect,
    probe,
    push,
    report,
    tasks,
    undo,
    verify,
)
from talo_export.commands.analyze import AnalysisResult
from talo_export.commands.ask_models import AskResult
from talo_export.commands.compare import Estimate
from talo_export.commands.evaluate_tasks import EvaluateResult, EvaluationsResult
from talo_export.commands.export import ExportResult
from talo_export.commands.inspect import Inspection
from talo_export.commands.probe_tasks import ManyResult
from talo_export.commands.report import ReportResult
from talo_export.commands.shown_items import ShownItems
from talo_export.commands.tasks import TaskCheck, TaskList
from talo_export.commands.verify import VerifyResult
from talo_export.publish.doctor import Examination
from talo_export.publish.push import PushResult
from talo_export.reporting import SILENT, Reporter
from talo_export.runs.comparison import Comparison
from talo_export.runs.result import ProbeResult

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110
"""Columns."""

SHOWS: dict[type[Recorded], Callable[[Any, Console], None]] = {
    AnalysisResult: analyze.show,
    AskResult: ask.show,
    CheckpointDiff: diff.show,
    Comparison: compare.show,
    Estimate: compare.show,
    EvaluateResult: evaluate.show,
    EvaluationsResult: evaluate.show,
    Examination: doctor.show,
    ExportResult: export.show,
    Inspection: inspect.show,
    ManyResult: probe.show,
    ProbeResult: probe.show,
    PushResult: push.show,
    ReportResult: report.show,
    ShownItems: tasks.show,
    TaskCheck: tasks.show,
    TaskList: tasks.show,
    UndoReport: undo.show,
    VerifyResult: verify.show,
}


@contextmanager
def notebook_reporter() -> Iterator[Reporter]:
    """Progress in a notebook; elsewhere a Python caller hears nothing."""
    if "ipykernel" not in sys.modules:
        yield SILENT
        return
    with TerminalReporter(Sink(json_mode=False, quiet=False)) as reporter:
        yield reporter


def as_html(result: Recorded) -> str | None:
    """None for a value that no command shows: then its `repr` stands."""
    show = next((SHOWS[kind] for kind in type(result).__mro__ if kind in SHOWS), None)
    if show is None:
        return None
    page = inert_console(record=True, file=io.StringIO(), width=WIDTH)
    show(result, page)
    return page.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
