"""Which tasks there are, what one is like, and what a probe could show with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from talo_export.codec import Recorded
from talo_export.demo import ITEMS, demo_task_chance, demo_task_descriptions
from talo_export.errors import UsageError
from talo_export.requests.readings import TasksRequest
from talo_export.requests.settings import DEMO, TaskWithShots
from talo_export.runs.chosen_task import load_chosen, meaning
from talo_export.tasks.catalogue import list_tasks
from talo_export.tasks.check import TaskReport, describe_task

if TYPE_CHECKING:
    from talo_export.commands.shown_items import ShownItems

SHOTS = 20
"""The default number of probing items: what is left of a task confirms."""


@dataclass(frozen=True)
class TaskSummary:
    """One task that can be named. None is known once the data is read."""

    name: str
    items: int | None
    chance: float | None
    scoring: str
    source: str
    description: str


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


def run_tasks(
    request: TasksRequest, *, note: Callable[[str], None] = lambda text: None
) -> TaskCheck | TaskList | ShownItems:
    """List the tasks, show one's first items, or check a file, whichever was asked for."""
    if request.checks:
        return check_tasks(request)
    if request.show is None:
        return list_known_tasks(request.task)
    from talo_export.commands.shown_items import show_items

    note(meaning(request.task, model_is_demo=request.is_demo))
    return show_items(request)


def list_known_tasks(pattern: str | None = None) -> TaskList:
    """Every task whose name matches, the demo's first.

    A pattern without wildcards also finds the names that contain it. Raises UsageError where
    nothing matches.
    """
    tasks = [task for task in _demo_tasks() if _matches(task.name, pattern)]
    try:
        catalogued = list_tasks(pattern)
    except UsageError:
        if not tasks:
            raise
        catalogued = ()
    tasks += [
        TaskSummary(
            name=info.name,
            items=info.size,
            chance=info.chance,
            scoring=info.scoring,
            source=info.source,
            description=info.description,
        )
        for info in catalogued
    ]
    return TaskList(tuple(tasks))


def check_tasks(request: TasksRequest) -> TaskCheck:
    """Counts, balance, warnings, and the power of the items.

    `against` is another task or split, with which neither items nor pictures should be shared.
    """
    # Statistics take seconds to import, which listing the tasks must not wait for.
    from talo_export.evidence.power import TYPICAL_CHANGED, smallest_confirmable

    choice = TaskWithShots(
        request.file,
        data=request.data,
        columns=request.columns,
        choices_from=request.choices_from,
        few_shot=request.few_shot,
        seed=request.seed,
        trust_remote_code=request.trust_remote_code,
    )
    task = load_chosen(choice, model_is_demo=False)
    other = None
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
        TaskSummary(
            name=f"{DEMO}/{name}",
            items=ITEMS,
            chance=demo_task_chance(name),
            scoring="generate",
            source="bundled demo",
            description=words,
        )
        for name, words in demo_task_descriptions().items()
    ]


def _matches(name: str, pattern: str | None) -> bool:
    if pattern is None or pattern == "all":
        return True
    return fnmatchcase(name, pattern) or ("*" not in pattern and pattern in name)
