"""`talo-export analyze`: what finished runs say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.readings import AnalyzeRequest

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.commands.analyze import AnalysisResult


@command(AnalyzeRequest)
def analyze(request: AnalyzeRequest, sink: Sink) -> None:
    from talo_export.cli.progress import SweepProgress
    from talo_export.commands.analyze import run_analysis

    with SweepProgress(sink) as progress:
        result = run_analysis(request, progress)
    summary = result.sentence or str(result.files[0])
    sink.result(result, summary=summary, show=lambda to: show_analysis(result, to))


def show_analysis(result: AnalysisResult, to: Console) -> None:
    """What it says, and the files."""
    for line in (*filter(None, [result.sentence]), *map(str, result.files)):
        to.print(line)
