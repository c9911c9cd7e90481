"""Which tasks there are, what one is like, and what a probe could show with it."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from talo_export.demo import ITEMS, demo_task_chance, demo_task_descriptions
from talo_export.errors import UsageError
from talo_export.evidence.power import TYPICAL_CHANGED, smallest_confirmable
from talo_export.jobs.evaluate import Note, silent
from talo_export.jobs.task_words import load_chosen, meaning
from talo_export.requests.readings import TasksRequest
from talo_export.requests.settings import DEMO, TaskWithShots
from talo_export.tasks.catalogue import list_tasks
from talo_export.tasks.check import describe_task

SHOTS = 20
"""The default number of probing items: what is left of a task confirms."""


def run_tasks(request: TasksRequest, *, note: Note = silent) -> dict[str, Any]:
    """List the tasks, show one's first items, or check a file, whichever was asked for."""
    if request.checks:
        return check_tasks(request)
    if request.show is None:
        return list_known_tasks(request.task)
    from talo_export.jobs.show_items import show_items

    note(meaning(request.task, model_is_demo=request.is_demo))
    return show_items(request)


def list_known_tasks(pattern: str | None = None) -> dict[str, Any]:
    """The document of `tasks --json`: every task whose name matches, the demo's first.

    A pattern without wildcards also finds the names that contain it. Raises UsageError where
    nothing matches.
    """
    tasks = [task for task in _demo_tasks() if _matches(task["name"], pattern)]
    try:
        catalogued = list_tasks(pattern)
    except UsageError:
        if not tasks:
            raise
        catalogued = ()
    tasks += [
        {
            "name": info.name,
            "items": info.size,
            "chance": info.chance,
            "scoring": info.scoring,
            "source": info.source,
            "description": info.description,
        }
        for info in catalogued
    ]
    return {"tasks": tasks}


def check_tasks(request: TasksRequest) -> dict[str, Any]:
    """The document of `tasks check --json`: counts, balance, warnings, and the power of the items.

    `against` is another task or split, with which neither items nor pictures should be shared.
    `confirmable_gain` is the smallest true gain (a share) that the items left after `SHOTS`
    probing items probably confirm where a knockout changes `changed_share` of the answers (or, if
    the gain is larger, as many as gain), None where they cannot confirm any; `best_case_gain` the
    same where every change is for the better.
    """
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
    return {
        **describe_task(task, other).to_json(),
        "against": request.against,
        "confirm_items": left,
        "changed_share": TYPICAL_CHANGED,
        "confirmable_gain": smallest_confirmable(left) if left else None,
        "best_case_gain": smallest_confirmable(left, changed=0.0) if left else None,
    }


def _demo_tasks() -> list[dict[str, Any]]:
    return [
        {
            "name": f"{DEMO}/{name}",
            "items": ITEMS,
            "chance": demo_task_chance(name),
            "scoring": "generate",
            "source": "bundled demo",
            "description": words,
        }
        for name, words in demo_task_descriptions().items()
    ]


def _matches(name: str, pattern: str | None) -> bool:
    if pattern is None or pattern == "all":
        return True
    return fnmatchcase(name, pattern) or ("*" not in pattern and pattern in name)
