"""`talo-export analyze`: what finished runs say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink
from talo_export.evidence.analyses import names, summary


def _known(name: str) -> str:
    if name not in names():
        raise typer.BadParameter(f"{name!r} is no analysis; there are {', '.join(names())}.")
    return name


def analyze(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="ANALYSIS",
            help="One of the analyses named above.",
            parser=_known,
            autocompletion=names,
        ),
    ],
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Finished runs of one model; for side-effects its own first."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            show_default="analysis in the first run",
            help="Where JSON and figures go.",
        ),
    ] = None,
    svg: Annotated[
        bool,
        typer.Option("--svg/--no-svg", rich_help_panel=options.OUTPUT, help="Draw SVG beside PNG."),
    ] = True,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            rich_help_panel=options.SEARCH,
            help="With pairs: every layer with every other, not only the best with all.",
        ),
    ] = False,
    seed: options.Seed = 0,
    data: options.Data = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.progress import SweepProgress
        from talo_export.jobs.analyze import run_analysis

        with SweepProgress(sink) as progress:
            document = run_analysis(
                kind,
                runs,
                out=out or runs[0] / "analysis",
                seed=seed,
                svg=svg,
                data=data,
                full=full,
                progress=progress,
            )
        said = document.get("sentence")
        lines = [*([said] if said else []), *document["files"]]
        sink.result(
            document,
            summary=lines[0],
            show=lambda to: to.print("\n".join(lines), highlight=False),
        )


analyze.__doc__ = "\n".join(
    (
        "One of the paper's analyses, as JSON and a figure.\n",
        *(f"- `{name}`: {summary(name)}" for name in names()),
        "\ntransfer, side-effects, fills, modules and pairs score what the runs lack, once; the "
        "others read the journalled scores alone.",
    )
)
