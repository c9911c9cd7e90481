"""A user's own task: one file, one item a row, every mistake in it named by row and field.

`FILE:CATEGORY` picks one category, `FILE:*` makes each its own task. Where a row has both
`prompt` and `question`, the prompt is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.tasks.item import Task
from talo_export.tasks.names import distinct_slugs, nearest
from talo_export.tasks.own_data import build_own_items
from talo_export.tasks.rows import is_task_path, read_rows


@dataclass(frozen=True)
class FileReference:
    """A task file and which category of it is wanted: None for no choice, `*` for each."""

    path: Path
    category: str | None = None


def find_task_file(reference: str | Path) -> FileReference | None:
    """`FILE` or `FILE:CATEGORY` as a path that exists and a category; None if it is neither.

    The shortest prefix that exists is the file, so categories may contain colons themselves.
    """
    text = str(reference)
    if is_task_path(Path(text)):
        return FileReference(Path(text))
    for position, character in enumerate(text):
        if character == ":" and is_task_path(Path(text[:position])):
            return FileReference(Path(text[:position]), text[position + 1 :].strip())
    return None


def load_task_file(
    reference: str | Path,
    category: str | None = None,
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
) -> Task:
    """One task from `FILE` or `FILE:CATEGORY`; the options are those of `build_own_items`.

    Raises: TaloError naming the file and up to ten rows and fields; UsageError if the file is not
    there, or has no such category.
    """
    found = find_task_file(reference) or FileReference(Path(reference))
    wanted = category if category is not None else found.category
    whole = _whole_file(found.path, columns, choices_from)
    if wanted is None:
        return whole
    if wanted == "*":
        raise UsageError(f"{reference} means every category of the file: name one of them here.")
    tasks = _by_category(found.path, whole)
    for text, task in tasks.items():
        if wanted in (text, task.name.partition("/")[2]):
            return task
    if not tasks:
        raise UsageError(f"{found.path} has no field 'category', so there is no '{wanted}' in it.")
    hint = nearest(wanted, tasks) or f"it has {', '.join(tasks)}."
    raise UsageError(f"{found.path} has no category '{wanted}': {hint}")


def load_task_files(
    reference: str | Path,
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
) -> tuple[Task, ...]:
    """The tasks of `FILE:*` in the order of their categories, or the one of anything else.

    Raises: as `load_task_file`.
    """
    found = find_task_file(reference)
    if found is None or found.category != "*":
        return (load_task_file(reference, columns=columns, choices_from=choices_from),)
    tasks = _by_category(found.path, _whole_file(found.path, columns, choices_from))
    if not tasks:
        raise UsageError(f"{found.path} has no field 'category': leave the ':*' away.")
    return tuple(tasks.values())


def _whole_file(path: Path, columns: Mapping[str, str] | None, choices_from: str | None) -> Task:
    base = path.parent if path.is_file() else path
    built, unread = build_own_items(
        read_rows(path), str(path), base, columns=columns, choices_from=choices_from
    )
    return Task(path.stem, built.items, str(path), unread, built.notes)


def _by_category(path: Path, whole: Task) -> dict[str, Task]:
    """Tasks keyed by category text, sorted by it; items without one belong to no task."""
    categories = sorted({item.category for item in whole.items if item.category is not None})
    slugs = distinct_slugs(categories)
    return {
        category: replace(
            whole,
            name=f"{path.stem}/{slugs[category]}",
            items=tuple(item for item in whole.items if item.category == category),
            source=f"{path}:{category}",
        )
        for category in categories
    }
