"""`talo-export tasks`: which tasks there are, and whether a file of one's own is one."""

from __future__ import annotations

from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def tasks(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATTERN]",
            help="Names to list, such as 'demo/*'; or `check`, followed by a file of items.",
        ),
    ] = None,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="With `check`: the file to validate.")
    ] = None,
    data: options.Data = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the tasks with size, chance level and source, or check a task file of your own.

    `talo-export tasks check FILE` reads every row and says what a probe could show with it,
    before any model is loaded.
    """
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.show_tasks import check_summary, show_check, show_tasks
        from talo_export.jobs.tasks import check_tasks, list_known_tasks

        if pattern == "check":
            checked = check_tasks(file, data=data)
            sink.result(
                checked, summary=check_summary(checked), show=lambda to: show_check(checked, to)
            )
            return
        document = list_known_tasks(pattern)
        sink.result(
            document,
            summary="\n".join(task["name"] for task in document["tasks"]),
            show=lambda to: show_tasks(document, to),
        )
