"""`talo-export ask` without a question: a terminal asks for one after the other."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial

from talo_export.cli.flags import carry_out
from talo_export.cli.output import Sink
from talo_export.cli.progress import TerminalReporter
from talo_export.errors import TaloError
from talo_export.foreign_text import visible_lines
from talo_export.requests.fields import Request
from talo_export.requests.measurements import AskRequest

PROMPT = "question> "


def converse(request: Request, sink: Sink) -> None:
    """Ask what was given; at a terminal, where nothing was, what is typed until an empty line."""
    assert isinstance(request, AskRequest)
    given = request.question is not None or request.of_a_task
    if given or sink.mode != "human" or not sys.stdin.isatty():
        carry_out(request, sink)
        return
    with suppress(ImportError):
        import readline  # noqa: F401  (so that `input` edits lines)
    from talo_export.commands import ask
    from talo_export.commands.ask_models import SideBySide, sides_of
    from talo_export.commands.ask_questions import own_question, pictures

    sides, images = sides_of(request), pictures(request.images)
    with TerminalReporter(sink) as reporter:
        models = SideBySide(request, sides, reporter, keep=True)
    if sides.note is not None:
        sink.note(sides.note)
    while question := _typed():
        try:
            with TerminalReporter(sink) as reporter:
                result = models.ask(own_question(question, images, request), reporter)
        except TaloError as error:
            print(f"error: {visible_lines(str(error))}", file=sys.stderr)
        else:
            sink.result(result, summary="", show=partial(ask.show, replace(result, note=None)))


def _typed() -> str:
    try:
        return input(PROMPT).strip()
    except EOFError:
        print()
        return ""
