"""The list of tasks, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from talo_export.wording import percent

SHOWN = 5
"""Sets of duplicates that are named."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def show_tasks(document: dict[str, Any], to: Console) -> None:
    """Print the document of `tasks --json`: a table for each source, with how it is scored."""
    from itertools import groupby

    from rich.table import Table
    from rich.text import Text

    def origin(task: dict[str, Any]) -> tuple[str, str]:
        return task["source"], task["scoring"]

    for number, ((source, scoring), group) in enumerate(groupby(document["tasks"], key=origin)):
        if number:
            to.print()
        to.print(Text(f"{source}, scored by {scoring}", style="bold"))
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column("items", justify="right", no_wrap=True)
        table.add_column("chance", justify="right", no_wrap=True)
        # Names last: they are what is copied, and what a narrow terminal folds.
        table.add_column("task", overflow="fold")
        for task in group:
            items = "?" if task["items"] is None else f"{task['items']:,}"
            chance = "?" if task["chance"] is None else percent(task["chance"], 0)
            table.add_row(items, chance, _named(task))
        to.print(table)
    if any(None in (task["items"], task["chance"]) for task in document["tasks"]):
        to.print("? is known once the data is read: talo-export tasks check NAME", style="dim")


def _named(task: dict[str, Any]) -> Text:
    """The name, and what it asks where the name alone does not say it."""
    from rich.text import Text

    words = Text(task["name"])
    if task["source"] == "bundled demo":
        words.append(f"  {task['description']}", style="dim")
    return words


def show_check(document: dict[str, Any], to: Console) -> None:
    """Print the document of `tasks check --json`."""
    to.print(check_summary(document), highlight=False)
    letters = ", ".join(f"{letter} {count}" for letter, count in document["letters"].items())
    if letters:
        to.print(f"right answers by letter: {letters}", highlight=False)
    if document["categories"]:
        listed = ", ".join(f"{name} {count}" for name, count in document["categories"].items())
        to.print(f"categories: {listed}", highlight=False)
    if document["columns_not_read"]:
        unread = ", ".join(document["columns_not_read"])
        to.print(f"columns that were not read: {unread}", highlight=False, markup=False)
    to.print(f"duplicates: {_together(document['same_content'])}", highlight=False)
    to.print(f"leakage between splits: {_leaks(document)}", highlight=False)
    to.print(f"power: {_power(document)}", highlight=False)
    for warning in document["warnings"]:
        to.print(f"warning: {warning}", style="yellow", highlight=False)


def _together(groups: Sequence[Sequence[str]]) -> str:
    """Items that ask the same, or that there are none."""
    if not groups:
        return "none"
    more = f" and {len(groups) - SHOWN} more" if len(groups) > SHOWN else ""
    return "; ".join(" = ".join(ids) for ids in groups[:SHOWN]) + more


def _leaks(document: dict[str, Any]) -> str:
    """What could come to lie on both sides, of a split or of the two tasks compared."""
    within = len(document["leaks"])
    said = f"{within} sets of the same item could be parted" if within else "none within"
    if document["against"] is not None:
        said += f", {len(document['shared_with_other']) or 'none'} with {document['against']}"
    return said


def _power(document: dict[str, Any]) -> str:
    """The smallest gain that the items can show, usually and at best."""
    left, gain, best = (
        document[name] for name in ("confirm_items", "confirmable_gain", "best_case_gain")
    )
    if best is None:
        return f"too few items: the {left} left after probing cannot confirm any gain"
    assumed = max(document["changed_share"], gain)
    usual = (
        f", one of {100 * gain:.1f} if {percent(assumed, 0)} of the answers change, as is usual"
        if gain > best
        else ""
    )
    return (
        f"with the {left} items left after probing a gain of {100 * best:.1f} points will probably "
        f"be confirmed (4 chances in 5) if no answer turns wrong{usual}"
    )


def check_summary(document: dict[str, Any]) -> str:
    """One sentence: what and how many."""
    return (
        f"{document['name']}: {document['items']} items in {document['groups']} groups, "
        f"{document['multiple_choice']} multiple choice, {document['free_form']} free-form, "
        f"{document['pictures']} pictures, chance {percent(document['chance'], 0)}"
    )
