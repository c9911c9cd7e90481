"""`talo-export export`: write a patched checkpoint or adapter for a layer one names oneself."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.checkpoints import ExportRequest


@command(ExportRequest)
def export(request: ExportRequest, sink: Sink) -> None:
    from talo_export.cli.copy_progress import copy_progress
    from talo_export.cli.show_export import show_export
    from talo_export.commands.export import run_export

    with copy_progress(sink, "copying") as progress:
        result = run_export(request, progress)
    for warning in result.warnings:
        sink.warn(warning)
    sink.result(result, summary=str(result.out), show=lambda to: show_export(result, to))
