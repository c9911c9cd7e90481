"""`talo-export inspect`: a decoder layer by layer, from a checkpoint's files alone."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.checkpoints import InspectRequest


@command(InspectRequest)
def inspect(request: InspectRequest, sink: Sink) -> None:
    from talo_export.cli.show_inspect import show_inspect
    from talo_export.commands.inspect import run_inspect

    inspection = run_inspect(request)
    sink.result(
        inspection,
        summary=f"{len(inspection.layers)} layers",
        show=lambda to: show_inspect(inspection, to),
    )
