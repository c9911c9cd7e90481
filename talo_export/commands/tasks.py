"""Which tasks there are, what one is like, and what a probe could show with it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from talo_export.codec import Recorded
from talo_export.commands.tables import table_of
from talo_export.demo.bundled import ITEMS, demo_task_chance, demo_task_descriptions
from talo_export.foreign_text import visible
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.readings import TasksRequest
from talo_export.requests.settings import DEMO
from talo_export.runs.chosen_task import load_chosen, meaning
from talo_export.tasks.catalogue import TaskSummary, list_tasks
from talo_export.tasks.check import TaskReport, describe_task
from talo_export.wording import first_of, percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from talo_export.commands.shown_items import ShownItems


SHOTS = 20
"""The default number of probing items: what is left of a task confirms."""


@dataclass(frozen=True)
class TaskList(Recorded):
    """The document of `tasks --json`."""

    tasks: tuple[TaskSummary, ...]


@dataclass(frozen=True, kw_only=True)
class TaskCheck(TaskReport):
    """What a task is like, and what a probe could show with it: `tasks check --json`.

    `confirmable_gain` is the smallest true gain (a share) that the items left after `SHOTS`
    probing items probably confirm where a knockout changes `changed_share` of the answers (or, if
    the gain is larger, as many as gain), None where they cannot confirm any; `best_case_gain` the
    same where every change is for the better.
    """

    against: str | None
    confirm_items: int
    changed_share: float
    confirmable_gain: float | None
    best_case_gain: float | None


def run(request: TasksRequest, reporter: Reporter = SILENT) -> TaskCheck | TaskList | ShownItems:
    """List the tasks, show one's first items, or check a file, whichever was asked for."""
    if request.checks:
        return check_tasks(request)
    if request.show is None:
        return TaskList(list_tasks(request.task, _demo_tasks()))
    from talo_export.commands.shown_items import render_items

    reporter.note(meaning(request.task, model_is_demo=request.is_demo))
    return render_items(request)


def check_tasks(request: TasksRequest) -> TaskCheck:
    """Counts, balance, warnings, and the power of the items.

    `against` is another task or split, with which neither items nor pictures should be shared.
    """
    # Statistics take seconds to import, which listing the tasks must not wait for.
    from talo_export.evidence.power import TYPICAL_CHANGED, smallest_confirmable

    choice = replace(request, task=request.file, file=None)
    task, other = load_chosen(choice, model_is_demo=False), None
    if request.against is not None:
        other = load_chosen(replace(choice, task=request.against, few_shot=0), model_is_demo=False)
    left = max(0, len(task) - SHOTS)
    report = describe_task(task, other)
    return TaskCheck(
        **{field.name: getattr(report, field.name) for field in fields(TaskReport)},
        against=request.against,
        confirm_items=left,
        changed_share=TYPICAL_CHANGED,
        confirmable_gain=smallest_confirmable(left) if left else None,
        best_case_gain=smallest_confirmable(left, changed=0.0) if left else None,
    )


def _demo_tasks() -> list[TaskSummary]:
    return [
        TaskSummary(f"{DEMO}/{n}", ITEMS, demo_task_chance(n), "generate", "bundled demo", words)
        for n, words in demo_task_descriptions().items()
    ]


SHOWN = 5
"""Sets of duplicates that are named."""


def show_tasks(listed: TaskList, to: Console) -> None:
    """A table for each source, with how it is scored."""
    from itertools import groupby

    def origin(task: TaskSummary) -> tuple[str, str]:
        return task.source, task.scoring

    for number, ((source, scoring), group) in enumerate(groupby(listed.tasks, key=origin)):
        if number:
            to.print()
        to.print(f"{source}, scored by {scoring}", style="bold")
        # Names last: they are what is copied, and what a narrow terminal folds.
        table = table_of(">items", ">chance", "task")
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
    duplicates = [" = ".join(ids) for ids in check.same_content]
    to.print(f"duplicates: {first_of(duplicates, SHOWN, '; ') or 'none'}")
    to.print(f"leakage between splits: {_leaks(check)}")
    to.print(f"power: {_power(check)}")
    for warning in check.warnings:
        to.print(f"warning: {warning}", style="yellow")


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


def summary(result: TaskCheck | TaskList | ShownItems) -> str | list[str]:
    """What `--quiet` prints: one sentence, the names, or the texts, line by line."""
    if isinstance(result, TaskCheck):
        return check_summary(result)
    if isinstance(result, TaskList):
        return [task.name for task in result.tasks]
    from talo_export.commands.shown_items import items_summary

    return items_summary(result)


def show(result: TaskCheck | TaskList | ShownItems, to: Console) -> None:
    """The list, the check, or the items."""
    if isinstance(result, TaskCheck):
        show_check(result, to)
    elif isinstance(result, TaskList):
        show_tasks(result, to)
    else:
        from talo_export.commands.shown_items import show_items

        show_items(result, to)
