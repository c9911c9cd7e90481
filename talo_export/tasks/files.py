"""A user's own task: one file, one item a row, every mistake in it named by row and field.

`FILE:CATEGORY` picks one category, `FILE:*` makes each its own task. Where a row has both
`prompt` and `question`, the prompt is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talo_export.errors import UsageError
from talo_export.tasks.fields import (
    is_missing,
    read_accepted,
    read_answer_index,
    read_choices,
    read_label,
    read_list,
    read_text,
)
from talo_export.tasks.grouping import grouped_by_images
from talo_export.tasks.item import Item, ItemImage, Task
from talo_export.tasks.names import distinct_slugs, nearest
from talo_export.tasks.pictures import read_image
from talo_export.tasks.problems import FieldError, Problems
from talo_export.tasks.rows import Row, is_task_path, read_rows


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


def load_task_file(reference: str | Path, category: str | None = None) -> Task:
    """One task from `FILE` or `FILE:CATEGORY`.

    Raises: TaloError naming the file and up to ten rows and fields; UsageError if the file is not
    there, or has no such category.
    """
    found = find_task_file(reference) or FileReference(Path(reference))
    wanted = category if category is not None else found.category
    items = read_items(found.path)
    if wanted is None:
        return Task(name=found.path.stem, items=items, source=str(found.path))
    if wanted == "*":
        raise UsageError(f"{reference} means every category of the file: name one of them here.")
    tasks = _by_category(found.path, items)
    for text, task in tasks.items():
        if wanted in (text, task.name.partition("/")[2]):
            return task
    if not tasks:
        raise UsageError(f"{found.path} has no field 'category', so there is no '{wanted}' in it.")
    hint = nearest(wanted, tasks) or f"it has {', '.join(tasks)}."
    raise UsageError(f"{found.path} has no category '{wanted}': {hint}")


def load_task_files(reference: str | Path) -> tuple[Task, ...]:
    """The tasks of `FILE:*` in the order of their categories, or the one of anything else.

    Raises: as `load_task_file`.
    """
    found = find_task_file(reference)
    if found is None or found.category != "*":
        return (load_task_file(reference),)
    tasks = _by_category(found.path, read_items(found.path))
    if not tasks:
        raise UsageError(f"{found.path} has no field 'category': leave the ':*' away.")
    return tuple(tasks.values())


def read_items(path: Path) -> tuple[Item, ...]:
    """Every item of a task file. Raises: TaloError naming up to ten rows and fields at once."""
    problems = Problems(str(path))
    items: list[Item] = []
    first_seen: dict[str, tuple[str, bool]] = {}
    base = path.parent if path.is_file() else path
    for row in read_rows(path):
        try:
            item, generated = _read_item(row, base)
        except FieldError as error:
            problems.add(row.where, error.field, str(error))
            continue
        earlier = first_seen.setdefault(item.id, (row.where, generated))
        if earlier[0] == row.where:
            items.append(item)
        elif generated and earlier[1]:
            problems.add(row.where, None, f"the same item as {earlier[0]}; one of them must go")
        else:
            problems.add(row.where, "id", f"'{item.id}' is also the id of {earlier[0]}")
    problems.raise_if_any()
    return grouped_by_images(items)


def _read_item(row: Row, base: Path) -> tuple[Item, bool]:
    """The item and whether its id was generated."""
    fields = row.fields
    prompt = read_text(fields, "prompt")
    question = None if prompt is not None else read_text(fields, "question")
    if prompt is None and question is None:
        raise FieldError("question", "missing: an item has a 'question' or a 'prompt'")
    choices = read_choices(fields)
    answer = read_answer_index(fields.get("answer"), choices) if choices else None
    accepted = () if choices else read_accepted(fields.get("answer"))
    images = _read_images(fields, base)
    hint = read_label(fields, "hint")
    given = read_label(fields, "id") or read_label(fields, "index")
    key = given or _content_id(prompt, question, hint, choices, answer, accepted, images)
    # An item without a group gets one below, once every item's images are known.
    group = read_label(fields, "group") or ""
    item = Item(
        id=key,
        group=group,
        question=question,
        prompt=prompt,
        choices=choices,
        answer=answer,
        accepted=accepted,
        images=images,
        category=read_label(fields, "category"),
        hint=hint,
        tolerance=_read_tolerance(fields),
    )
    return item, given is None


def _read_images(fields: dict[str, Any], base: Path) -> tuple[ItemImage, ...]:
    several = fields.get("images")
    if not is_missing(several):
        name, values = "images", several
        values = read_list(several, name) if _spells_list(several) else [several]
    else:
        name, value = "image", fields.get("image")
        if is_missing(value):
            return ()
        values = read_list(value, name) if _spells_list(value) else [value]
    return tuple(read_image(value, base, name) for value in values if not is_missing(value))


def _spells_list(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and value.lstrip().startswith("["))


def _read_tolerance(fields: dict[str, Any]) -> float:
    text = read_label(fields, "tolerance")
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        raise FieldError("tolerance", f"a number is needed, not '{text:.40}'") from None
    if not 0 <= value < float("inf"):
        raise FieldError("tolerance", f"{text} is not a finite number of at least 0")
    return value


def _content_id(*parts: Any) -> str:
    """12 hex digits of everything the item says: the same item has the same id in any file."""
    *values, images = parts
    content = json.dumps([*values, [image.sha256 for image in images]], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _by_category(path: Path, items: tuple[Item, ...]) -> dict[str, Task]:
    """Tasks keyed by category text, sorted by it; items without one belong to no task."""
    categories = sorted({item.category for item in items if item.category is not None})
    slugs = distinct_slugs(categories)
    return {
        category: Task(
            name=f"{path.stem}/{slugs[category]}",
            items=tuple(item for item in items if item.category == category),
            source=f"{path}:{category}",
        )
        for category in categories
    }
