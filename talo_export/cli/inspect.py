"""`talo-export inspect`: a decoder layer by layer, from a checkpoint's files alone."""

from __future__ import annotations

from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def inspect(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", show_default="the bundled demo", help="Directory or Hub id."
        ),
    ] = None,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Layers, their token mixers and tensors on disk, what can be knocked out. Loads no weights."""
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.show_inspect import show_inspect
        from talo_export.jobs.inspect import run_inspect

        inspection = run_inspect(model, trust_remote_code=trust_remote_code)
        sink.result(
            inspection,
            summary=f"{len(inspection.layers)} layers",
            show=lambda to: show_inspect(inspection, to),
        )
