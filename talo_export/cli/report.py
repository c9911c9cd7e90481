"""`talo-export report`: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            rich_help_panel=options.OUTPUT,
            show_default="report.html in the first run",
            help="The page to write.",
        ),
    ] = None,
    comparison: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            show_default="RUN.compare",
            help="Show this comparison, made by `talo-export compare`.",
        ),
    ] = None,
    data: options.Data = None,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write one page about runs: layers, confirmation, stability, cases with pictures, commands.

    It needs no network and no JavaScript, in light and in dark.
    """
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.jobs.report import run_report

        result = run_report(
            runs, out=out, data=data, trusted=trust_remote_code, comparison=comparison
        )
        where = str(result.report)
        sink.result(result, summary=where, show=lambda to: to.print(f"wrote {where}"))
