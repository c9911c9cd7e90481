"""`talo-export undo`: the base back from an export, to the same hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def undo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An exported checkpoint.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            help="Directory to write; it must not exist.",
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            rich_help_panel=options.MODEL,
            show_default="the undo file, else the base in the manifest",
            help="Where the original tensors come from.",
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Rebuild the base's bytes; every file must have the hash that the manifest recorded."""
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.copy_progress import copy_progress
        from talo_export.jobs.undo import run_undo

        with copy_progress(sink, "copying") as progress:
            report = run_undo(directory, out, base=base, progress=progress)
        sentence = (
            f"wrote {report.out}: {report.files} files, {len(report.restored)} "
            f"tensors restored, {report.checked} recorded hashes met"
        )
        sink.result(report, summary=str(report.out), show=lambda to: to.print(sentence))
