"""One row's fields, read into the parts of an item.

Rows come from JSON (typed), CSV/TSV (all text), Parquet and `datasets` (typed, sometimes with
text where a list is meant), so every reader here takes what those formats really hold.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from typing import Any

from talo_export.tasks.item import LETTERS
from talo_export.tasks.problems import FieldError

# pandas writes a missing cell as "nan" once a column went through str().
MISSING_TEXTS = {"", "nan", "none", "null", "n/a", "<na>"}


def is_missing(value: Any) -> bool:
    """None, NaN, or blank text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and not value.strip()


def look_up(row: Mapping[str, Any], path: str) -> Any:
    """The value at a column, or below a column of records (`metadata.skills`); None if absent."""
    value: Any = row.get(path)
    if value is None and "." in path:
        value = row
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    return value


def read_text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text field, None where it is missing; numbers are written out."""
    value = fields.get(name)
    if is_missing(value):
        return None
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise FieldError(name, f"text is needed, not {value!r:.60}")


def read_label(fields: Mapping[str, Any], name: str) -> str | None:
    """A short label (category, id): stripped, and missing where it spells "nan"."""
    text = read_text(fields, name)
    if text is None or text.strip().lower() in {"nan", "none", "null"}:
        return None
    return text.strip()


def read_list(value: Any, name: str) -> list[Any]:
    """A list, or text that spells one in JSON or Python notation."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str) and value.strip().startswith(("[", "(")):
        for parse in (json.loads, ast.literal_eval):
            try:
                parsed = parse(value.strip())
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(parsed, (list, tuple)):
                return list(parsed)
    raise FieldError(name, f"a list is needed, not {value!r:.60}")


def read_choices(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Choice texts from `choices`/`options`, or from columns `A`, `B`, ...; empty for free-form.

    Raises: FieldError for a single choice, more than 26, a blank one, or a gap in the columns.
    """
    for name in ("choices", "options"):
        value = fields.get(name)
        if is_missing(value):
            continue
        texts = read_list(value, name)
        if not texts:
            continue
        for number, text in enumerate(texts):
            if is_missing(text) or isinstance(text, (list, dict)):
                raise FieldError(name, f"choice {number + 1} is {text!r:.40}, not a text")
        return _checked_count(tuple(str(text) for text in texts), name)
    return _checked_count(_lettered_columns(fields), "A")


def _lettered_columns(fields: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [fields.get(letter) for letter in LETTERS]
    present = [not is_missing(c) and str(c).strip().lower() not in MISSING_TEXTS for c in cells]
    if not any(present):
        return ()
    # Benchmarks leave the later columns blank where an item has fewer choices; a blank before
    # a filled one would shift every letter after it.
    count = len(present) - present[::-1].index(True)
    if not all(present[:count]):
        gap = LETTERS[present.index(False)]
        raise FieldError(gap, f"blank, although choice {LETTERS[count - 1]} is not")
    return tuple(str(cell) for cell in cells[:count])


def _checked_count(choices: tuple[str, ...], name: str) -> tuple[str, ...]:
    if len(choices) == 1:
        raise FieldError(name, "one choice only: multiple choice needs at least two")
    if len(choices) > len(LETTERS):
        raise FieldError(name, f"{len(choices)} choices: there are letters for {len(LETTERS)}")
    return choices


def read_answer_index(value: Any, choices: tuple[str, ...]) -> int:
    """Which choice is right: from an index counted from 0, a letter, or the choice's text.

    Where the readings disagree (the text "B" as choice A) the row must say which it means.

    Raises: FieldError if it is missing, none of the choices, or ambiguous.
    """
    if is_missing(value):
        raise FieldError("answer", "missing")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < len(choices):
            return value
        raise FieldError(
            "answer",
            f"index {value} is none of the {len(choices)} choices (they count from 0)",
        )
    if not isinstance(value, (str, bool)):
        raise FieldError("answer", f"{value!r:.60} is no index, letter or text of a choice")
    text = str(value).strip()
    readings = {*_by_text(text, choices), *_by_letter(text, choices), *_by_number(text, choices)}
    if len(readings) == 1:
        return readings.pop()
    if readings:
        meant = " and ".join(f"{LETTERS[i]} ({choices[i]:.30})" for i in sorted(readings))
        raise FieldError("answer", f"'{text:.60}' could mean {meant}: write the index, from 0")
    raise FieldError(
        "answer", f"'{text:.60}' is none of the choices A to {LETTERS[len(choices) - 1]}"
    )


def _by_text(text: str, choices: tuple[str, ...]) -> list[int]:
    exact = [i for i, choice in enumerate(choices) if choice.strip() == text]
    return exact or [
        i for i, choice in enumerate(choices) if choice.strip().casefold() == text.casefold()
    ]


def _by_letter(text: str, choices: tuple[str, ...]) -> list[int]:
    letter = text.strip("().: ").upper()
    if len(letter) == 1 and letter in LETTERS[: len(choices)]:
        return [LETTERS.index(letter)]
    return []


def _by_number(text: str, choices: tuple[str, ...]) -> list[int]:
    if text.isascii() and text.isdigit() and int(text) < len(choices):
        # A cell of a CSV is text even where an index is meant. Among choices that are numbers
        # themselves it is their text that counts.
        return [] if _by_text(text, choices) else [int(text)]
    return []


def read_accepted(value: Any) -> tuple[str, ...]:
    """Accepted texts of a free-form answer: one text or number, or a list of them.

    Raises: FieldError if there is none.
    """
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = read_list(value, "answer")
        except FieldError:
            value = [value]
    texts = value if isinstance(value, (list, tuple)) else [value]
    accepted = []
    for text in texts:
        if is_missing(text) or not isinstance(text, (str, int, float)):
            raise FieldError("answer", "missing: free-form items need an accepted text or a list")
        accepted.append(str(text).strip())
    if not accepted:
        raise FieldError("answer", "an empty list: nothing would ever be right")
    return tuple(accepted)
