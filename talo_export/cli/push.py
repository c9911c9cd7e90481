"""`talo-export push`: publish an export on the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.checkpoints import PushRequest

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.publish.push import PushResult


@command(PushRequest)
def push(request: PushRequest, sink: Sink) -> None:
    from talo_export.commands.push import run_push

    result = run_push(request, progress=sink.live)
    for warning in result.warnings:
        sink.warn(warning)
    sink.result(result, summary=result.url, show=lambda to: show_push(result, to))


def show_push(result: PushResult, to: Console) -> None:
    from rich.text import Text

    size = sum(result.files.values())
    what = f"{len(result.files)} files, {size:,} bytes"
    if result.dry_run:
        to.print(f"would send {what} to {result.url} ({result.revision}); nothing was sent")
    else:
        to.print(f"sent {what}; {result.verified} checksums on the Hub equal the files here")
        to.print(result.pull_request or result.url)
    to.print()
    to.print(Text(result.snippet))
