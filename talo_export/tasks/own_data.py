"""A user's own rows as items: from files, saved data sets, and data sets of the Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.building import Built, build_items
from talo_export.tasks.columns import ANSWERS, Columns, find_columns, refuse_hidden_choices
from talo_export.tasks.fields import as_text, is_missing, look_up
from talo_export.tasks.item import LETTERS
from talo_export.tasks.options_in_text import split_options
from talo_export.tasks.problems import FieldError
from talo_export.tasks.rows import Row
from talo_export.tasks.table import Label

FEW = 10
"""Free answers that repeat and are no more than these may be choices that nobody named."""


def build_own_items(
    rows: Sequence[Row],
    source: str,
    base: Path | None,
    *,
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
) -> tuple[Built, tuple[str, ...]]:
    """The items of a user's rows, and the columns that were not read.

    `columns` names the columns of our fields (see `parse_columns`). `choices_from="answer"` makes
    all answers of the rows the choices of each.

    Raises: TaloError for columns that are missing or ambiguous, or naming up to ten rows.
    """
    found = find_columns(rows, columns or {}, source)
    stored = _stored_images(rows, found)
    shared: tuple[str, ...] = ()
    free = [(row, fields) for row, fields in _readable(rows, found) if not fields.get("choices")]
    if choices_from is None:
        answers = [_answer(fields) for _, fields in free]
        refuse_hidden_choices(found, rows, answers, source)
    else:
        if choices_from != "answer":
            raise UsageError(
                f"Choices are made of the answers alone: --choices-from answer, not {choices_from}."
            )
        if len(free) < len(rows):
            raise UsageError(f"{source} has choices of its own: leave --choices-from away.")
        shared = _all_answers(free, source)

    def read(row: Row) -> dict[str, Any]:
        fields = found.read(row)
        if str(fields.get("hint")).strip() == "nan":
            fields["hint"] = None  # What pandas writes for a blank one; it would tell nothing.
        picture = str(fields.get("image") or "").strip()
        if picture.isdigit() and picture in stored:
            fields["image"] = stored[picture]
        if shared:
            fields |= {"choices": shared, "answer_text": _answer(fields)}
        elif not fields.get("choices"):
            _refuse_options_in_text(fields)
        return fields

    built = build_items(rows, source, read, base=base)
    answers = [_answer(fields) for _, fields in free] if len(free) == len(rows) else []
    notes = (*built.notes, *(() if shared else _few_answers(answers)))
    return built._replace(notes=notes), found.unread


def _readable(rows: Sequence[Row], columns: Columns) -> list[tuple[Row, dict[str, Any]]]:
    """Rows whose columns can be read; the builder tells of the others."""
    readable = []
    for row in rows:
        try:
            readable.append((row, columns.read(row)))
        except FieldError:
            continue
    return readable


def _answer(fields: Mapping[str, Any]) -> Any:
    return next((fields[name] for name in ANSWERS if not is_missing(fields.get(name))), None)


def _stored_images(rows: Sequence[Row], columns: Columns) -> dict[str, Any]:
    """Pictures by their row's id, for rows whose `image` is the id of another.

    TSVs of VLMEvalKit store a picture once, and name the row that has it in the others.
    """
    stored = {}
    for row in rows:
        key, image = (
            next((v for path in columns.fields[name] if (v := look_up(row.fields, path))), None)
            for name in ("id", "image")
        )
        if not is_missing(key) and not is_missing(image):
            stored[str(key)] = image
    return stored


def _all_answers(rows: Sequence[tuple[Row, Mapping[str, Any]]], source: str) -> tuple[str, ...]:
    """Every different answer: all names of a label column in their order, others sorted.

    Raises: TaloError unless they are two to as many as there are letters.
    """
    values = [_answer(fields) for _, fields in rows]
    for (row, _), value in zip(rows, values, strict=True):
        if is_missing(value) or isinstance(value, (list, tuple, Mapping)):
            raise TaloError(f"{source}, {row.where}, field 'answer': no text to make a choice of")
    texts = _label_names(values) or sorted({as_text(value, "answer").strip() for value in values})
    if not 2 <= len(texts) <= len(LETTERS):
        raise UsageError(
            f"{source} has {len(texts)} different answers: --choices-from answer takes 2 to "
            f"{len(LETTERS)}."
        )
    return tuple(texts)


def _label_names(values: Sequence[Any]) -> list[str]:
    """The names of a label column, none where the values are of no or of several such columns."""
    names = {value.names if isinstance(value, Label) else () for value in values}
    return list(names.pop()) if len(names) == 1 else []


def _refuse_options_in_text(fields: Mapping[str, Any]) -> None:
    """Raise FieldError where a letter answers a question that lists its options itself."""
    answer, question = _answer(fields), fields.get("question")
    if isinstance(answer, str) and isinstance(question, str):
        letter = answer.strip().strip("(). ")
        if len(letter) == 1 and letter in LETTERS and len(split_options(question)[1]) > 1:
            raise FieldError(
                "choices",
                "missing, although the question lists options: write them as a list, and the "
                "question without them",
            )


def _few_answers(values: Sequence[Any]) -> tuple[str, ...]:
    """A note where free answers are labels, or few and repeated."""
    names = _label_names(values)
    texts = [] if names else [str(v).strip() for v in values if isinstance(v, (str, int))]
    few = names or sorted(set(texts))
    if not 2 <= len(few) <= FEW or (not names and 2 * len(few) > len(texts)):
        return ()
    return (
        f"There are no choices and {len(few)} different answers ({', '.join(few)}): "
        "--choices-from answer asks them as choices.",
    )
