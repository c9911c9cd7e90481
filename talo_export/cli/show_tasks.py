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


def show_check(document: dict[str, Any], to: Console) -> None:
    """Print the document of `tasks check --json`."""
    to.print(check_summary(document), highlight=False)
    letters = ", ".join(f"{letter} {count}" for letter, count in document["letters"].items())
    if letters:
        to.print(f"right answers by letter: {letters}", highlight=False)
    if document["categories"]:
        listed = ", ".join(f"{name} {count}" for name, count in document["categories"].items())
        to.print(f"categories: {listed}", highlight=False)
    gain = document["confirmable_gain"]
    left = document["confirm_items"]
    if gain is None:
        to.print(f"too few items: the {left} left after probing cannot confirm any gain")
    else:
        to.print(
            f"power: the {left} items left after probing confirm a true gain of "
            f"{100 * gain:.1f} points in four runs of five",
            highlight=False,
        )
    for warning in document["warnings"]:
        to.print(f"warning: {warning}", style="yellow", highlight=False)


def check_summary(document: dict[str, Any]) -> str:
    """One sentence: what and how many."""
    return (
        f"{document['name']}: {document['items']} items in {document['groups']} groups, "
        f"{document['multiple_choice']} multiple choice, {document['free_form']} free-form, "
        f"{document['pictures']} pictures, chance {document['chance']:.0%}"
    )
