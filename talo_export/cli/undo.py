"""`talo-export undo`: the base back from an export, to the same hashes."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.checkpoints import UndoRequest


@command(UndoRequest)
def undo(request: UndoRequest, sink: Sink) -> None:
    from talo_export.cli.copy_progress import copy_progress
    from talo_export.commands.undo import run_undo

    with copy_progress(sink, "copying") as progress:
        report = run_undo(request, progress)
    sentence = (
        f"wrote {report.out}: {report.files} files, {len(report.restored)} "
        f"tensors restored, {report.checked} recorded hashes met"
    )
    sink.result(report, summary=str(report.out), show=lambda to: to.print(sentence))
