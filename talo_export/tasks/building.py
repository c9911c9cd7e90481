"""The one builder: from rows under our own field names to items, all mistakes told at once.

Three readers give it rows: a user's own data (`columns.py`), the catalogue's benchmarks
(`benchmark_items.py`) and the documents of harness YAMLs (`lm_eval_items.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from talo_export.errors import TaloError
from talo_export.tasks.answer_rule import KINDS, Given, counts_from_one, right_choices
from talo_export.tasks.fields import (
    is_missing,
    read_accepted,
    read_choices,
    read_label,
    read_text,
    spelt_value,
)
from talo_export.tasks.grouping import grouped_by_images
from talo_export.tasks.item import Item, ItemImage
from talo_export.tasks.pictures import may_be_path, read_image
from talo_export.tasks.problems import FieldError, Problems
from talo_export.tasks.prompts import PLACE
from talo_export.tasks.rows import Row
from talo_export.tasks.text_rows import check_text

Read = Callable[[Row], Mapping[str, Any]]
"""A row's fields under our own names. May raise FieldError, or TaloError without naming a row."""

PICTURES = ("images", "image", "image_path")
"""Fields that hold pictures; the first that holds any counts."""

MADE = ("lettered", "wordings", "unit", "delimiter", "until", "shown", "max_new_tokens")
"""Fields that only our own readers give."""


FROM_ONE = (
    "The answers are numbers, none of them 0, and were read as counting from 0: where they count "
    "from 1, say --columns answer_number=COLUMN."
)


class Built(NamedTuple):
    """Items in the order of their rows, and what a person should know of how they were read."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """An item whose answer waits for those of all other rows, and whose pictures are yet unread."""

    item: Item
    given: Given | None
    content: tuple[str | None, ...]
    fields: Mapping[str, Any]

    @property
    def may_tie(self) -> bool:
        """Whether it may have several pictures, by which other items hang together."""
        values = [self.fields.get(name) for name in PICTURES]
        return any(
            value.lstrip().startswith("[")
            if isinstance(value, str)
            else isinstance(value, (list, tuple)) and len(value) > 1
            for value in values
        )


Take = Callable[[Sequence[Draft | None]], Collection[int]]
"""Which rows are wanted, of all; None stands for a row that is wrong."""


def build_items(
    rows: Iterable[Row],
    source: str,
    read: Read = lambda row: row.fields,
    *,
    base: Path | None = None,
    number_repeats: bool = False,
    take: Take | None = None,
) -> Built:
    """An item a row. Image paths start at `base`, where pictures are checked to be ones.

    Rows of one id are an error, or with `number_repeats` get a number behind their id. Of rows
    that `take` leaves out no picture is read, and groups do not know of them.

    Raises: TaloError naming up to ten rows and fields at once.
    """
    rows = list(rows)
    drafts = [_attempt(partial(_draft, read, row)) for row in rows]
    taken: Collection[int] = range(len(rows))
    if take is not None:
        taken = set(take([draft if isinstance(draft, Draft) else None for draft in drafts]))
    for number, draft in enumerate(drafts):
        if number in taken and isinstance(draft, Draft):
            drafts[number] = _attempt(partial(_with_pictures, draft, base))
    given = [d.given for d in drafts if isinstance(d, Draft) and d.given is not None]
    right = right_choices(given)
    answers = iter(right)
    problems = Problems(source)
    items: list[Item] = []
    seen: Counter[str] = Counter()
    first: dict[str, tuple[str, bool]] = {}
    for number, (row, draft) in enumerate(zip(rows, drafts, strict=True)):
        answer = next(answers) if isinstance(draft, Draft) and draft.given else None
        error = draft if isinstance(draft, FieldError) else answer
        if isinstance(error, FieldError):
            problems.add(row.where, error)
            continue
        if number not in taken:
            continue
        assert isinstance(draft, Draft)
        assert not isinstance(answer, FieldError)
        item = replace(draft.item, answer=answer)
        generated = not item.id
        if generated:
            item = replace(item, id=_content_id(draft.content, item))
        seen[item.id] += 1
        if seen[item.id] > 1 and number_repeats:
            item = replace(item, id=f"{item.id}-{seen[item.id]}")
        where, was_generated = first.setdefault(item.id, (row.where, generated))
        if where == row.where:
            items.append(item)
        elif generated and was_generated:
            problems.add(
                row.where, FieldError(None, f"the same item as {where}; one of them must go")
            )
        else:
            problems.add(row.where, FieldError("id", f"'{item.id}' is also the id of {where}"))
    problems.raise_if_any()
    notes = (FROM_ONE,) if counts_from_one(given, right) else ()
    return Built(grouped_by_images(items), notes)


def _attempt(make: Callable[[], Draft]) -> Draft | FieldError:
    try:
        return make()
    except FieldError as error:
        return error
    except TaloError as error:
        return FieldError(None, str(error))


def _draft(read: Read, row: Row) -> Draft:
    fields = read(row)
    # Our own readers give texts and choices as an item has them, and what an id is made of.
    made = "content" in fields
    prompt = fields["prompt"] if made and "prompt" in fields else read_text(fields, "prompt")
    question = None if prompt is not None else read_text(fields, "question")
    if prompt is None and question is None:
        raise FieldError("question", "missing: an item has a 'question' or a 'prompt'")
    content = fields["content"] if made else (prompt, question, read_label(fields, "hint"))
    choices, labels = (fields["choices"], ()) if made else read_choices(fields.get("choices"))
    kind = next((kind for kind in KINDS if not is_missing(fields.get(f"answer_{kind}"))), None)
    name = f"answer_{kind}" if kind else "answer"
    value = fields.get(name)
    item = Item(
        id=read_label(fields, "id") or "",
        # An item without a group gets one once every item's images are known.
        group=read_label(fields, "group") or "",
        question=question,
        prompt=prompt,
        choices=choices,
        accepted=() if choices else read_accepted(value, name),
        category=read_label(fields, "category"),
        hint=(read_text if made else read_label)(fields, "hint"),
        tolerance=_read_tolerance(fields),
        **{key: fields[key] for key in MADE if key in fields},
    )
    for text in (question, prompt, *choices):
        check_text(text or "", "question")
    also = fields.get("answer") if kind else None
    answer = Given(value, choices, labels, kind, bool(fields.get("numbered")), also)
    return Draft(item, answer if choices else None, content, fields)


def _with_pictures(draft: Draft, base: Path | None) -> Draft:
    item = replace(draft.item, images=_read_images(draft.fields, base))
    if item.question is not None and item.images and "content" not in draft.fields:
        item = replace(item, question=_with_places(item.question, len(item.images)))
    return replace(draft, item=item)


def _with_places(question: str, pictures: int) -> str:
    """The question, in which LLaVA's mark for a picture stands only where that is not in front.

    Raises: FieldError unless there are no marks, or one for each picture.
    """
    marks = question.count(PLACE)
    if marks not in (0, pictures):
        raise FieldError(
            "question", f"has {marks} places for pictures ({PLACE}), but the row has {pictures}"
        )
    rest = question.lstrip()
    while rest.startswith(PLACE):
        rest = rest.removeprefix(PLACE).lstrip()
    return question if PLACE in rest or not rest else rest


def _read_images(fields: Mapping[str, Any], base: Path | None) -> tuple[ItemImage, ...]:
    """The pictures of the first of these fields that holds any.

    Raises: FieldError where `image` is none of `images`, or as `read_image`.
    """
    images = _pictures_of(fields, "images", base)
    image = _pictures_of(fields, "image", base)
    if images and not {one.sha256 for one in image} <= {one.sha256 for one in images}:
        raise FieldError("image", "is none of 'images': leave one of the two fields away")
    return images or image or _pictures_of(fields, "image_path", base)


def _pictures_of(fields: Mapping[str, Any], name: str, base: Path | None) -> tuple[ItemImage, ...]:
    """What a field says, as a file of that very name or as a list."""
    value = fields.get(name)
    if isinstance(value, str) and not _is_file(value, base):
        value = spelt_value(value)
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(read_image(one, base, name) for one in values if not _is_blank(one))


def _is_blank(value: Any) -> bool:
    return is_missing(value) or (
        isinstance(value, Mapping) and all(part is None for part in value.values())
    )


def _is_file(text: str, base: Path | None) -> bool:
    return base is not None and may_be_path(text) and os.path.isfile(base / text.strip())


def _read_tolerance(fields: Mapping[str, Any]) -> float:
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


def _content_id(content: tuple[str | None, ...], item: Item) -> str:
    """12 hex digits of everything the item says: the same item has the same id in any file."""
    images = [image.sha256 for image in item.images]
    values = [*content, item.choices, item.answer, item.accepted, images]
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()[:12]
