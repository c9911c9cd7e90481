"""A user's own task: one file, one item a row, every mistake in it named by row and field.

`FILE:CATEGORY` picks one category, `FILE:*` makes each its own task. Where a row has both
`prompt` and `question`, the prompt is used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.tasks.building import Draft, Take
from talo_export.tasks.item import Task
from talo_export.tasks.names import distinct_slugs, nearest
from talo_export.tasks.own_data import own_task
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
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
    first: int | None = None,
) -> Task:
    """One task from `FILE` or `FILE:CATEGORY`; the options are those of `own_task`.

    Of other categories, or beyond the `first` so many, no picture is read that has no say in
    which of these items hang together.

    Raises: TaloError naming the file and up to ten rows and fields; UsageError if the file is not
    there, or has no such category.
    """
    found = find_task_file(reference) or FileReference(Path(reference))
    path, wanted = found.path, found.category
    if wanted == "*":
        raise UsageError(f"{reference} means every category of the file: name one of them here.")
    part = _Part(wanted, first)
    whole = _whole_file(path, columns, choices_from, part)
    if wanted is None:
        return whole
    slugs = distinct_slugs(sorted(part.categories))
    for category, slug in slugs.items():
        if wanted in (category, slug):
            items = tuple(item for item in whole.items if item.category == category)
            source = f"{path}:{category}"
            return replace(whole, name=f"{path.stem}/{slug}", items=items, source=source)
    if not slugs:
        raise UsageError(f"{path} has no field 'category', so there is no '{wanted}' in it.")
    hint = nearest(wanted, slugs) or f"it has {', '.join(slugs)}."
    raise UsageError(f"{path} has no category '{wanted}': {hint}")


def file_categories(
    path: Path, columns: Mapping[str, str] | None = None, choices_from: str | None = None
) -> tuple[str, ...]:
    """The categories of a file's items, sorted; no picture is read.

    Raises: as `load_task_file`; UsageError where there are none.
    """
    part = _Part(first=0)
    _whole_file(path, columns, choices_from, part)
    if not part.categories:
        raise UsageError(f"{path} has no field 'category': leave the ':*' away.")
    return tuple(sorted(part.categories))


@dataclass
class _Part:
    """Picks the rows of a category, all where none is called so; the first, or those and what may
    tie them together. Notes all `categories`."""

    category: str | None = None
    first: int | None = None
    categories: set[str] = field(default_factory=set)

    def __call__(self, drafts: Sequence[Draft | None]) -> Collection[int]:
        named = [None if draft is None else draft.item.category for draft in drafts]
        self.categories.update(category for category in named if category is not None)
        if self.category not in self.categories:
            return range(len(drafts)) if self.category else range(len(drafts))[: self.first]
        rows = [number for number, category in enumerate(named) if category == self.category]
        ties = [number for number, draft in enumerate(drafts) if draft and draft.may_tie]
        return {*rows, *ties} if self.first is None else rows[: self.first]


def _whole_file(
    path: Path, columns: Mapping[str, str] | None, choices_from: str | None, take: Take
) -> Task:
    base = path.parent if path.is_file() else path
    rows = read_rows(path)
    return own_task(
        path.stem, rows, str(path), base, columns=columns, choices_from=choices_from, take=take
    )
