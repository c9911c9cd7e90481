"""`talo-export verify`: is this directory what its manifest says, and does it compute so?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An exported checkpoint.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            rich_help_panel=options.MODEL,
            show_default="the base in the manifest",
            help="The checkpoint it was made from.",
        ),
    ] = None,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare every file and tensor, then load it in a fresh process and compare logits.

    Exit status 1 when anything is not as planned.
    """
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.copy_progress import copy_progress
        from talo_export.cli.show_verify import show_verify, summary
        from talo_export.jobs.verify import run_verify

        with copy_progress(sink, "comparing files") as progress:
            result = run_verify(
                directory, base=base, trust_remote_code=trust_remote_code, progress=progress
            )
        sink.result(
            result,
            summary=summary(result),
            show=lambda to: show_verify(result, to),
        )
        if not result.ok:
            raise typer.Exit(1)
