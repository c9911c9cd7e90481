"""The Typer application: the commands in the order a user meets them."""

from __future__ import annotations

import shutil
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import talo_export
from talo_export.cli.conversation import converse
from talo_export.cli.flags import carry_out, command
from talo_export.foreign_text import visible
from talo_export.requests.checkpoints import (
    DiffRequest,
    ExportRequest,
    InspectRequest,
    PushRequest,
    UndoRequest,
    VerifyRequest,
)
from talo_export.requests.measurements import (
    AskRequest,
    CompareRequest,
    EvaluateRequest,
    ProbeRequest,
)
from talo_export.requests.readings import AnalyzeRequest, DoctorRequest, ReportRequest, TasksRequest


class Commands(TyperGroup):
    """The commands, with wrong options told in Typer's words less a prefix of its validator's."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.TyperException as wrong:
            wrong.message = visible(wrong.message.removeprefix("Value error, "))
            raise


app = typer.Typer(
    name="talo-export",
    cls=Commands,
    help=(
        "Find the decoder layer whose attention hurts a task, prove it, cut it out of the "
        "weights on disk, and publish a checkpoint that every stock engine loads.\n\n"
        "Start with `talo-export probe --task maps`: it needs no network and no GPU."
    ),
    no_args_is_help=True,
    # In a narrow terminal the tables of the rich help cut the names of options.
    rich_markup_mode="markdown" if shutil.get_terminal_size().columns >= 80 else None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"talo-export {talo_export.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


for request in (
    ProbeRequest,
    AskRequest,
    ExportRequest,
    VerifyRequest,
    PushRequest,
    UndoRequest,
    DiffRequest,
    EvaluateRequest,
    CompareRequest,
    AnalyzeRequest,
    ReportRequest,
    TasksRequest,
    InspectRequest,
    DoctorRequest,
):
    app.command()(command(request, converse if request is AskRequest else carry_out))
