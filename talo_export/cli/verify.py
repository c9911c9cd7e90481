"""`talo-export verify`: is this directory what its manifest says, and does it compute so?"""

from __future__ import annotations

import typer

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.checkpoints import VerifyRequest


@command(VerifyRequest)
def verify(request: VerifyRequest, sink: Sink) -> None:
    from talo_export.cli.copy_progress import copy_progress
    from talo_export.cli.show_verify import show_verify, summary
    from talo_export.commands.verify import run_verify

    with copy_progress(sink, "comparing files") as progress:
        result = run_verify(request, progress)
    sink.result(result, summary=summary(result), show=lambda to: show_verify(result, to))
    if not result.ok:
        raise typer.Exit(1)
