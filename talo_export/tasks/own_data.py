"""A user's own rows as items: from files, saved data sets, and data sets of the Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.building import Take, build_items
from talo_export.tasks.columns import ANSWERS, find_columns, refuse_hidden_choices
from talo_export.tasks.fields import as_text, is_missing
from talo_export.tasks.item import LETTERS, Task
from talo_export.tasks.options_in_text import split_options
from talo_export.tasks.problems import FieldError
from talo_export.tasks.rows import Row
from talo_export.tasks.table import Label

FEW = 10
"""Free answers that repeat and are no more than these may be choices that nobody named."""


def own_task(
    name: str,
    rows: Sequence[Row],
    source: str,
    base: Path | None,
    *,
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
    take: Take | None = None,
) -> Task:
    """The task that a user's rows are, pictures below `base`.

    `columns` names the columns of our fields (see `parse_columns`). `choices_from="answer"` makes
    all answers of the rows the choices of each. `take` is that of `build_items`.

    Raises: TaloError for columns that are missing or ambiguous, or naming up to ten rows.
    """
    found = find_columns(rows, columns or {}, source)
    readable: dict[str, dict[str, Any]] = {}
    for row in rows:
        # The builder reads the others again, and tells what is wrong with them.
        with suppress(FieldError):
            readable[row.where] = found.read(row)
    free = {where: fields for where, fields in readable.items() if not fields.get("choices")}
    answers = {where: _answer(fields) for where, fields in free.items()}
    shared: Sequence[str] = ()
    if choices_from is None:
        refuse_hidden_choices(found, rows, list(answers.values()), source)
    elif choices_from != "answer":
        raise UsageError(
            f"Choices are made of the answers alone: --choices-from answer, not {choices_from}."
        )
    elif len(free) < len(rows):
        raise UsageError(f"{source} has choices of its own: leave --choices-from away.")
    else:
        shared = _all_answers(answers, source)
    # TSVs of VLMEvalKit store a picture once, and name the row that has it in the others.
    stored = {
        str(f["id"]).strip(): f["image"] for f in readable.values() if {"id", "image"} <= f.keys()
    }

    def read(row: Row) -> dict[str, Any]:
        fields = readable.get(row.where) or found.read(row)
        if str(fields.get("hint")).strip() == "nan":
            fields["hint"] = None  # What pandas writes for a blank one; it would tell nothing.
        picture = fields.get("image")
        if str(picture).strip().isdigit():
            fields["image"] = stored.get(str(picture).strip(), picture)
        if shared:
            fields |= {"choices": shared, "answer_text": answers[row.where]}
        elif row.where in free:
            _refuse_options_in_text(fields)
        return fields

    built = build_items(rows, source, read, base=base, take=take)
    few = _few_answers(list(answers.values())) if len(free) == len(rows) and not shared else ()
    return Task(name, built.items, source, found.unread, (*built.notes, *few))


def _answer(fields: Mapping[str, Any]) -> Any:
    return next((fields[name] for name in ANSWERS if not is_missing(fields.get(name))), None)


def _all_answers(answers: Mapping[str, Any], source: str) -> list[str]:
    """Every different answer: all names of a label column in their order, others sorted.

    Raises: TaloError unless they are two to as many as there are letters.
    """
    for where, value in answers.items():
        if is_missing(value) or isinstance(value, (list, tuple, Mapping)):
            raise TaloError(f"{source}, {where}, field 'answer': no text to make a choice of")
    values = list(answers.values())
    texts = _label_names(values) or sorted({as_text(value, "answer").strip() for value in values})
    if not 2 <= len(texts) <= len(LETTERS):
        raise UsageError(
            f"{source} has {len(texts)} different answers: --choices-from answer takes 2 to "
            f"{len(LETTERS)}."
        )
    return texts


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
