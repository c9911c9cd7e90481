"""`talo-export analyze`: what finished runs say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink

Kind = Literal[
    "vectors", "heatmap", "clusters", "transfer", "stability", "fills", "modules", "pairs",
    "cases", "answers", "side-effects", "shots",
]  # fmt: skip


def analyze(
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="ANALYSIS",
            help="vectors, heatmap, clusters, transfer, stability, fills, modules, pairs, cases, "
            "answers, side-effects or shots.",
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
    """One of the paper's analyses, as JSON and a figure.

    All but transfer, side-effects, fills, modules and pairs are computed from the journalled
    scores alone; those five score what the runs lack, once.
    """
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
