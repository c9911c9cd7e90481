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
            document = run_undo(directory, out, base=base, progress=progress)
        sentence = (
            f"wrote {document['out']}: {document['files']} files, {len(document['restored'])} "
            f"tensors restored, {document['checked']} recorded hashes met"
        )
        sink.result(document, summary=document["out"], show=lambda to: to.print(sentence))
