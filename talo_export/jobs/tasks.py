"""Which tasks there are: the bundled demo's and the catalogue's."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from talo_export.demo import demo_task_descriptions, demo_task_names, load_demo_task
from talo_export.errors import UsageError
from talo_export.jobs.asking import DEMO


def list_known_tasks(pattern: str | None = None) -> dict[str, Any]:
    """The document of `tasks --json`: every task whose name matches, the demo's first.

    A pattern without wildcards also finds the names that contain it. Raises UsageError where
    nothing matches.
    """
    tasks = _demo_tasks()
    if pattern is not None:
        tasks = [task for task in tasks if _matches(task["name"], pattern)]
        if not tasks:
            raise UsageError(f"no task matches {pattern!r}; `talo-export tasks` lists them all.")
    return {"tasks": tasks}


def _demo_tasks() -> list[dict[str, Any]]:
    words = demo_task_descriptions()
    tasks = []
    for name in demo_task_names():
        task = load_demo_task(name)
        tasks.append(
            {
                "name": f"{DEMO}/{name}",
                "items": len(task),
                "chance": task.chance,
                "scoring": "lettered",
                "source": task.source,
                "description": words[name],
            }
        )
    return tasks


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or ("*" not in pattern and pattern in name)
