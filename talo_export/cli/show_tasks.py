"""The list of tasks, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from talo_export.foreign_text import visible
from talo_export.wording import percent

SHOWN = 5
"""Sets of duplicates that are named."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from talo_export.commands.tasks import TaskCheck, TaskList, TaskSummary


def show_tasks(listed: TaskList, to: Console) -> None:
    """A table for each source, with how it is scored."""
    from itertools import groupby

    from rich.table import Table

    def origin(task: TaskSummary) -> tuple[str, str]:
        return task.source, task.scoring

    for number, ((source, scoring), group) in enumerate(groupby(listed.tasks, key=origin)):
        if number:
            to.print()
        to.print(f"{source}, scored by {scoring}", style="bold")
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column("items", justify="right", no_wrap=True)
        table.add_column("chance", justify="right", no_wrap=True)
        # Names last: they are what is copied, and what a narrow terminal folds.
        table.add_column("task", overflow="fold")
        for task in group:
            items = "?" if task.items is None else f"{task.items:,}"
            chance = "?" if task.chance is None else percent(task.chance, 0)
            table.add_row(items, chance, _named(task))
        to.print(table)
    if any(None in (task.items, task.chance) for task in listed.tasks):
        to.print("? is known once the data is read: talo-export tasks check NAME", style="dim")


def _named(task: TaskSummary) -> Text:
    """The name, and what it asks where the name alone does not say it."""
    from rich.text import Text

    words = Text(visible(task.name))
    if task.source == "bundled demo":
        words.append(f"  {task.description}", style="dim")
    return words


def show_check(check: TaskCheck, to: Console) -> None:
    """What there is, what stands out, and what a probe could show with it."""
    to.print(check_summary(check))
    letters = ", ".join(f"{letter} {count}" for letter, count in check.letters.items())
    if letters:
        to.print(f"right answers by letter: {letters}")
    if check.categories:
        listed = ", ".join(f"{name} {count}" for name, count in check.categories.items())
        to.print(f"categories: {listed}")
    if check.columns_not_read:
        to.print(f"columns that were not read: {', '.join(check.columns_not_read)}")
    to.print(f"duplicates: {_together(check.same_content)}")
    to.print(f"leakage between splits: {_leaks(check)}")
    to.print(f"power: {_power(check)}")
    for warning in check.warnings:
        to.print(f"warning: {warning}", style="yellow")


def _together(groups: Sequence[Sequence[str]]) -> str:
    """Items that ask the same, or that there are none."""
    if not groups:
        return "none"
    more = f" and {len(groups) - SHOWN} more" if len(groups) > SHOWN else ""
    return "; ".join(" = ".join(ids) for ids in groups[:SHOWN]) + more


def _leaks(check: TaskCheck) -> str:
    """What could come to lie on both sides, of a split or of the two tasks compared."""
    within = len(check.leaks)
    said = f"{within} sets of the same item could be parted" if within else "none within"
    if check.against is not None:
        said += f", {len(check.shared_with_other) or 'none'} with {check.against}"
    return said


def _power(check: TaskCheck) -> str:
    """The smallest gain that the items can show, usually and at best."""
    left, gain, best = check.confirm_items, check.confirmable_gain, check.best_case_gain
    if best is None or gain is None:
        return f"too few items: the {left} left after probing cannot confirm any gain"
    assumed = max(check.changed_share, gain)
    usual = (
        f", one of {100 * gain:.1f} if {percent(assumed, 0)} of the answers change, as is usual"
        if gain > best
        else ""
    )
    return (
        f"with the {left} items left after probing a gain of {100 * best:.1f} points will probably "
        f"be confirmed (4 chances in 5) if no answer turns wrong{usual}"
    )


def check_summary(check: TaskCheck) -> str:
    """One sentence: what and how many."""
    return (
        f"{check.name}: {check.items} items in {check.groups} groups, "
        f"{check.multiple_choice} multiple choice, {check.free_form} free-form, "
        f"{check.pictures} pictures, chance {percent(check.chance, 0)}"
    )
