"""From the rows of a user's own data to items, all mistakes told at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.fields import (
    is_missing,
    look_up,
    read_accepted,
    read_answer_index,
    read_choices,
    read_label,
    read_list,
    read_text,
)
from talo_export.tasks.grouping import grouped_by_images
from talo_export.tasks.item import Item, ItemImage
from talo_export.tasks.names import nearest
from talo_export.tasks.pictures import read_image
from talo_export.tasks.problems import FieldError, Problems
from talo_export.tasks.rows import Row

FIELDS = ("id", "question", "prompt", "choices", "answer", "image", "images", "category", "group",
          "hint", "tolerance")  # fmt: skip
"""Every field that `columns` can name."""


def parse_columns(text: str) -> dict[str, str]:
    """`question=stem,choices=options` as a mapping from our fields to the data's columns.

    Raises: UsageError for a field that items do not have, or a part without `=`.
    """
    columns = {}
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise UsageError(f"'{part}' is no column: write FIELD=COLUMN, as question=stem.")
        if name not in FIELDS:
            hint = nearest(name, FIELDS) or f"there are {', '.join(FIELDS)}."
            raise UsageError(f"Items have no field '{name}': {hint}")
        columns[name] = column
    return columns


def rename_columns(
    rows: Sequence[Row], columns: Mapping[str, str] | None, source: str
) -> Sequence[Row]:
    """Rows with our field names, from columns or dotted paths below them; others stay as well.

    Raises: TaloError for a column that no row has.
    """
    if not columns:
        return rows
    for column in columns.values():
        if all(look_up(row.fields, column) is None for row in rows):
            known = sorted({name for row in rows for name in row.fields})
            raise TaloError(f"{source} has no column '{column}', only {', '.join(known)}.")
    return [
        replace(
            row,
            fields=row.fields | {name: look_up(row.fields, path) for name, path in columns.items()},
        )
        for row in rows
    ]


def items_of_rows(rows: Iterable[Row], base: Path, source: str) -> tuple[Item, ...]:
    """An item a row; image paths start at `base`.

    Raises: TaloError naming up to ten rows and fields at once, repeated ids among them.
    """
    problems = Problems(source)
    rows = _shared_images(list(rows))
    items: list[Item] = []
    first_seen: dict[str, tuple[str, bool]] = {}
    for row in rows:
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


def _shared_images(rows: Sequence[Row]) -> Sequence[Row]:
    """Rows whose `image` is another row's index get that row's image.

    TSVs of VLMEvalKit store a picture once, and name the row that has it in the others.
    """
    stored = {
        str(row.fields["index"]): row.fields["image"]
        for row in rows
        if not is_missing(row.fields.get("index")) and not is_missing(row.fields.get("image"))
    }

    def own(row: Row) -> Row:
        image = str(row.fields.get("image", "")).strip()
        shared = stored.get(image) if image.isdigit() else None
        return row if shared is None else replace(row, fields=row.fields | {"image": shared})

    return [own(row) for row in rows] if stored else rows


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
    key = given or content_id(prompt, question, hint, choices, answer, accepted, images)
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
        name = "image" if not is_missing(fields.get("image")) else "image_path"
        value = fields.get(name)
        if is_missing(value):
            return ()
        values = read_list(value, name) if _spells_list(value) else [value]
    return tuple(
        value if isinstance(value, ItemImage) else read_image(value, base, name)
        for value in values
        if not is_missing(value)
    )


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


def content_id(*parts: Any) -> str:
    """12 hex digits of everything the item says: the same item has the same id in any file."""
    *values, images = parts
    content = json.dumps([*values, [image.sha256 for image in images]], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
