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
        help="A local directory or a Hub id, OWNER/NAME or OWNER/NAME@REVISION.",
    ),
]  # fmt: skip
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(
        metavar="DTYPE", rich_help_panel=MODEL,
        help="Compute in float32, bfloat16 or float16; auto is as stored.",
    ),
]  # fmt: skip
Device = Annotated[
    str,
    typer.Option(metavar="DEVICE", rich_help_panel=MODEL, help="auto, cpu, cuda, cuda:N or mps."),
]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="MAP",
        help="Spread a large model over devices: auto, balanced, sequential, or disk.",
    ),
]  # fmt: skip
Offload = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="DIR", help="Where layers that fit nowhere else may lie."
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=MODEL, metavar="LIMITS",
        help="With --device-map: at most so much on each device, 0=20GB,cpu=50GB.",
    ),
]  # fmt: skip
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", rich_help_panel=MODEL,
        help="Run the code that the model's repository or the task's YAML names. Else never.",
    ),
]  # fmt: skip
BatchSize = Annotated[
    str,
    typer.Option(
        metavar="N|auto", rich_help_panel=MODEL, help="Items in work at a time; no pass mixes them."
    ),
]
SkipTooLong = Annotated[
    bool,
    typer.Option(
        "--skip-too-long", rich_help_panel=TASK,
        help="Leave out items that the model's context does not hold, and count them.",
    ),
]  # fmt: skip
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task", "-t", metavar="TASK", rich_help_panel=TASK, show_default="maps",
        help="A task's name (see `talo-export tasks`) or a file of items; FILE:CATEGORY picks one.",
    ),
]  # fmt: skip
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", rich_help_panel=TASK,
        help="A local copy of the catalogue's data sets, Parquet as the Hub serves it.",
    ),
]  # fmt: skip
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="OURS=THEIRS,...", rich_help_panel=TASK,
        help="Your data's own names of the fields: question=stem, choices=options.text.",
    ),
]  # fmt: skip
FewShot = Annotated[
    int,
    typer.Option(
        "--few-shot", metavar="N", min=0, rich_help_panel=TASK,
        help="Answered examples before every item, from the benchmark's own split for them.",
    ),
]  # fmt: skip
PromptStyle = Annotated[
    Literal["lmms-eval", "vlmevalkit"],
    typer.Option(
        "--prompt", metavar="STYLE", rich_help_panel=TASK,
        help="Whose wording: lmms-eval or vlmevalkit.",
    ),
]  # fmt: skip
System = Annotated[
    str | None,
    typer.Option(
        "--system", metavar="TEXT", rich_help_panel=TASK,
        help="A system message before everything else, through the model's chat template.",
    ),
]  # fmt: skip
ScoringKind = Annotated[
    Literal["generate", "likelihood"],
    typer.Option(
        "--scoring", metavar="KIND", rich_help_panel=TASK,
        help="generate: read the answer. likelihood: compare the choices.",
    ),
]  # fmt: skip
ChoiceText = Annotated[
    bool | None,
    typer.Option(
        "--choice-text/--choice-letter", rich_help_panel=TASK,
        show_default="text for verbatim prompts",
        help="With likelihood: compare the choices' texts, or their letters.",
    ),
]  # fmt: skip
Normalise = Annotated[
    Literal["none", "tokens", "characters"],
    typer.Option(
        metavar="UNIT", rich_help_panel=TASK,
        help="With --choice-text: divide by a choice's tokens or characters, or none.",
    ),
]  # fmt: skip
Seed = Annotated[
    int,
    typer.Option(metavar="N", rich_help_panel=TASK, help="Seed of the split and the bootstrap."),
]
ExportScope = Annotated[
    Literal["attention", "o_proj"],
    typer.Option(
        "--scope", metavar="SCOPE", rich_help_panel=SEARCH,
        help="attention: q, k, v and output; o_proj: the output alone (the same function).",
    ),
]  # fmt: skip
FillName = Annotated[
    Fill,
    typer.Option(
        "--fill", metavar="FILL", rich_help_panel=SEARCH,
        help="What stands in its place: zero, uniform or mean.",
    ),
]  # fmt: skip
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=OUTPUT, help="One JSON document on stdout."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Only the sentence that matters."),
]
