"""What a notebook shows of a result: the page that the command prints."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from talo_export.cli.output import Sink, inert_console
from talo_export.cli.progress import TerminalReporter
from talo_export.codec import Recorded
from talo_export.commands import (
    analyze,
    ask,
    compare,
    diff,
    doctor,
    evaluate,
    export,
    inspect,
    probe,
    push,
    report,
    tasks,
    undo,
    verify,
)
from talo_export.reporting import SILENT, Reporter

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110
"""Columns."""

VERBS = (
    analyze, ask, compare, diff, doctor, evaluate, export, inspect, probe, push, report, tasks,
    undo, verify,
)  # fmt: skip
SHOWS: dict[str, Callable[[Any, Console], None]] = {
    kind: verb.show for verb in VERBS for kind in verb.run.__annotations__["return"].split(" | ")
}
"""How to show a result, by the name of its class: what a verb's `run` says that it gives."""


@contextmanager
def notebook_reporter() -> Iterator[Reporter]:
    """Progress in a notebook; elsewhere a Python caller hears nothing."""
    if "ipykernel" not in sys.modules:
        yield SILENT
        return
    with TerminalReporter(Sink(json_mode=False, quiet=False)) as reporter:
        yield reporter


def as_html(result: Recorded) -> str | None:
    """None for a value that no command shows: then its `repr` stands."""
    kinds = [kind.__name__ for kind in type(result).__mro__]
    show = next((SHOWS[kind] for kind in kinds if kind in SHOWS), None)
    if show is None:
        return None
    page = inert_console(record=True, file=io.StringIO(), width=WIDTH)
    show(result, page)
    return page.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
