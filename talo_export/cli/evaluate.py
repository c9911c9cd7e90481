"""`talo-export evaluate`: how well does a checkpoint do on a task, by stock inference?"""

from __future__ import annotations

import typer

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.measurements import EvaluateRequest


@command(EvaluateRequest)
def evaluate(request: EvaluateRequest, sink: Sink) -> None:
    from talo_export.cli.progress import SweepProgress
    from talo_export.cli.progress_many import ManyProgress
    from talo_export.cli.show_evaluate import (
        evaluations_summary,
        show_evaluate,
        show_evaluations,
    )
    from talo_export.commands.evaluate import run_evaluate
    from talo_export.commands.evaluate_many import run_evaluations
    from talo_export.commands.many import means_many

    if means_many(request.task):
        with ManyProgress(sink) as bar:
            many = run_evaluations(request, note=bar.note, progress=bar, begin=bar.begin)
        sink.result(
            many, summary=evaluations_summary(many), show=lambda to: show_evaluations(many, to)
        )
        raise typer.Exit(1 if many.failed else 0)
    with SweepProgress(sink) as progress:
        result = run_evaluate(request, note=sink.note, progress=progress)
    sink.result(result, summary=f"{result.accuracy:.4f}", show=lambda to: show_evaluate(result, to))
