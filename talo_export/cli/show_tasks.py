"""The list of tasks, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show_tasks(document: dict[str, Any], to: Console) -> None:
    """Print the document of `tasks --json` as a table."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("items", justify="right")
    table.add_column("chance", justify="right")
    table.add_column("what is asked", overflow="fold")
    for task in document["tasks"]:
        items = "?" if task["items"] is None else f"{task['items']:,}"
        chance = "?" if task["chance"] is None else f"{task['chance']:.0%}"
        table.add_row(task["name"], items, chance, task["description"])
    to.print(table)
