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
            help="One of the analyses named above.",
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

    Of one run or many: `vectors` and `heatmap` (every layer's gain), `fills` (zero, uniform, mean),
    `modules` (attention, feed-forward, the whole layer). Of many: `clusters` (which tasks are
    alike), `transfer` (a layer chosen on one, applied to the others), `side-effects` (what the
    first run's knockout does to the others).

    Of one run: `stability` (would other items choose the same layer?), `shots` (gain and harm by
    the number of items), `cases` (answers that turned), `answers` (a preference for a letter),
    `pairs` (a second layer).

    transfer, side-effects, fills, modules and pairs score what the runs lack, once; the others
    read the journalled scores alone.
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
            show=lambda to: to.print(*lines, sep="\n"),
        )
