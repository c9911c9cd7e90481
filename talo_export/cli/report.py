"""`talo-export report`: one self-contained HTML page."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.readings import ReportRequest


@command(ReportRequest)
def report(request: ReportRequest, sink: Sink) -> None:
    from talo_export.commands.report import run_report

    result = run_report(request)
    where = str(result.report)
    sink.result(result, summary=where, show=lambda to: to.print(f"wrote {where}"))
