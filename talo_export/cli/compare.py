"""`talo-export compare`: why not just fine-tune? Every method on the same items, one table."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.measurements import CompareRequest


@command(CompareRequest)
def compare(request: CompareRequest, sink: Sink) -> None:
    from talo_export.cli.show_compare import CellProgress, show_compare, show_estimate
    from talo_export.commands.compare import run_compare, run_estimate

    if request.estimate:
        predicted = run_estimate(request)
        peak = predicted.footprints[0].training
        sink.result(
            predicted,
            summary=f"{peak / 2**30:.2f} GiB to train",
            show=lambda to: show_estimate(predicted, to),
        )
        return
    result = run_compare(request, note=sink.note, watcher=CellProgress(sink))
    sink.result(result, summary=result.summary, show=lambda to: show_compare(result, to))
