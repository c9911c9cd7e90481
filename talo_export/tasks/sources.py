"""From the text after `--task` to tasks: a file first, then the catalogue."""

from __future__ import annotations

from pathlib import Path

from talo_export.tasks.benchmark_tasks import load_entries, load_entry
from talo_export.tasks.catalogue import find_entry, match_entries
from talo_export.tasks.files import find_task_file, load_task_file, load_task_files
from talo_export.tasks.item import Task
from talo_export.tasks.rows import READERS


def load_task(reference: str, *, data: Path | None = None) -> Task:
    """The one task that `reference` names: `FILE`, `FILE:CATEGORY`, or a name of the catalogue.

    `data` is a local copy of the catalogue's data sets.

    Raises: UsageError for an unknown name (suggesting the nearest) or one that means several.
    """
    if _looks_like_file(reference):
        return load_task_file(reference)
    return load_entry(find_entry(reference), data)


def load_tasks(pattern: str, *, data: Path | None = None) -> tuple[Task, ...]:
    """The tasks that `pattern` names: as `load_task`, or several by `FILE:*`, a glob or `all`.

    Raises: as `load_task`.
    """
    if _looks_like_file(pattern):
        return load_task_files(pattern)
    return load_entries(match_entries(pattern), data)


def task_references(pattern: str) -> tuple[str, ...]:
    """What `pattern` means, as references that `load_task` takes one at a time.

    So a run over many tasks can load each in its turn, and lose only the one that fails.

    Raises: as `load_task`, except for what only a benchmark's data would show.
    """
    if _looks_like_file(pattern):
        found = find_task_file(pattern)
        if found is None or found.category != "*":
            return (pattern,)
        categories = (task.items[0].category for task in load_task_files(pattern))
        return tuple(f"{found.path}:{category}" for category in categories)
    return tuple(entry.name for entry in match_entries(pattern))


def _looks_like_file(reference: str) -> bool:
    """A file that exists, or a text whose ending says that it was meant as one."""
    if find_task_file(reference) is not None or Path(reference).is_file():
        return True
    head = reference.partition(":")[0]
    return Path(head).suffix.lower() in READERS or Path(reference).suffix.lower() in READERS
