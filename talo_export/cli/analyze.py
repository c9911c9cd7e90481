"""`talo-export analyze`: what finished runs say together."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.readings import AnalyzeRequest


@command(AnalyzeRequest)
def analyze(request: AnalyzeRequest, sink: Sink) -> None:
    from talo_export.cli.progress import SweepProgress
    from talo_export.jobs.analyze import run_analysis

    with SweepProgress(sink) as progress:
        document = run_analysis(request, progress)
    said = document.get("sentence")
    lines = [*([said] if said else []), *document["files"]]
    sink.result(
        document,
        summary=lines[0],
        show=lambda to: to.print(*lines, sep="\n"),
    )
