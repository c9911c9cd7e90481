"""`talo-export export`: write a patched checkpoint or adapter for a layer one names oneself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def export(
    model: options.Model = None,
    layer: Annotated[
        int | None,
        typer.Option(
            "--layer",
            "-k",
            metavar="K",
            rich_help_panel=options.SEARCH,
            help="The decoder layer, counted from 0.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=options.SEARCH,
            help="Take model, layer, scope and fill from a finished run.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            help="Directory to write; it must not exist.",
        ),
    ] = None,
    scope: options.ExportScope = "attention",
    fill: options.FillName = "zero",
    form: Annotated[
        Literal["checkpoint", "adapter"],
        typer.Option(
            "--as",
            rich_help_panel=options.OUTPUT,
            help="A whole checkpoint, or a PEFT adapter of a few kilobytes.",
        ),
    ] = "checkpoint",
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            rich_help_panel=options.OUTPUT,
            help="Hard-link the files that stay unchanged instead of copying them.",
        ),
    ] = False,
    link_cache: Annotated[
        bool,
        typer.Option(
            "--link-cache",
            rich_help_panel=options.OUTPUT,
            help="The same even for files in the Hub cache, whose bytes are then shared with it.",
        ),
    ] = False,
    keep_undo: Annotated[
        bool,
        typer.Option(
            "--keep-undo",
            rich_help_panel=options.OUTPUT,
            help="Keep the original tensors beside, so that `undo` needs no base.",
        ),
    ] = False,
    comparison: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            help="With --run: state this comparison, by `talo-export compare`, in the card.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel=options.OUTPUT, help="Show the plan, write nothing."
        ),
    ] = False,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Cut one layer's attention out of the weights on disk; everything else stays byte for byte."""
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.copy_progress import copy_progress
        from talo_export.cli.show_export import show_export
        from talo_export.jobs.export import ExportRequest, run_export

        request = ExportRequest(
            model=model,
            layer=layer,
            run=run,
            out=out,
            scope=scope,
            fill=fill,
            form=form,
            link=link,
            link_cache=link_cache,
            keep_undo=keep_undo,
            comparison=comparison,
            dry_run=dry_run,
            trust_remote_code=trust_remote_code,
        )
        with copy_progress(sink, "copying") as progress:
            result = run_export(request, progress)
        for warning in result.warnings:
            sink.warn(warning)
        sink.result(result, summary=str(result.out), show=lambda to: show_export(result, to))
