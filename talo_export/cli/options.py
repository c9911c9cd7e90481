"""Options that several commands share, so that one word means one thing everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from talo_export.knockout import Fill

MODEL = "Model"
TASK = "Task"
SEARCH = "Knockout"
OUTPUT = "Output"

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="REF", rich_help_panel=MODEL, show_default="the bundled demo",
        help="A local directory or a Hub id, OWNER/NAME[@REVISION].",
    ),
]  # fmt: skip
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(rich_help_panel=MODEL, help="Number format to compute in; auto: as stored."),
]
ExportScope = Annotated[
    Literal["attention", "o_proj"],
    typer.Option("--scope", rich_help_panel=SEARCH, help="How much of the layer is cut."),
]
FillName = Annotated[
    Fill, typer.Option("--fill", rich_help_panel=SEARCH, help="What stands in its place.")
]
Device = Annotated[str, typer.Option(rich_help_panel=MODEL, help="auto, cpu, cuda, cuda:N or mps.")]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="MAP",
        help="Spread a large model over devices: auto, balanced, sequential.",
    ),
]  # fmt: skip
Offload = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="DIR", help="Where layers that fit nowhere else may lie."
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", rich_help_panel=MODEL,
        help="Run the Python code that the model's repository ships. Off: such code never runs.",
    ),
]  # fmt: skip
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task", "-t", metavar="NAME|FILE", rich_help_panel=TASK, show_default="maps",
        help="A task's name (see `talo-export tasks`) or a file of items; FILE:CATEGORY picks one.",
    ),
]  # fmt: skip
ScoringKind = Annotated[
    Literal["generate", "likelihood"],
    typer.Option(
        "--scoring", rich_help_panel=TASK,
        help="Read the generated answer, or compare the choices' likelihoods.",
    ),
]  # fmt: skip
ChoiceText = Annotated[
    bool | None,
    typer.Option(
        "--choice-text/--choice-letter", rich_help_panel=TASK,
        show_default="text for verbatim prompts, letter otherwise",
        help="With likelihood: score each choice's text, or its letter.",
    ),
]  # fmt: skip
Normalise = Annotated[
    Literal["none", "tokens", "characters"],
    typer.Option(
        rich_help_panel=TASK,
        help="With --choice-text: what a choice's log-likelihood is divided by.",
    ),
]  # fmt: skip
BatchSize = Annotated[
    str, typer.Option(metavar="N|auto", rich_help_panel=MODEL, help="Items a forward pass.")
]
Seed = Annotated[int, typer.Option(rich_help_panel=TASK, help="Seed of the split and bootstrap.")]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=OUTPUT, help="One JSON document on stdout."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Only the sentence that matters."),
]
