"""One row's fields, read into the parts of an item.

Rows come from JSON (typed), CSV/TSV (all text), Parquet and `datasets` (typed, sometimes with
text where a list is meant), so every reader here takes what those formats really hold. A cell is
blank where it holds nothing: "None", "nan" and "N/A" are words.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

from talo_export.tasks.item import LETTERS
from talo_export.tasks.problems import FieldError, brief
from talo_export.tasks.text_rows import check_text


def is_missing(value: Any) -> bool:
    """None, NaN, or blank text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and not value.strip()


def look_up(row: Mapping[str, Any], path: str) -> Any:
    """The value at a column, or below records and lists (`metadata.skills`, `turns.0.value`).

    None where there is none.
    """
    value: Any = row.get(path)
    if value is None and "." in path:
        value = row
        for name in path.split("."):
            if isinstance(value, (list, tuple)) and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            else:
                value = value.get(name) if isinstance(value, Mapping) else None
    return value


def as_text(value: Any, name: str) -> str:
    """A text as it stands, a number or date written out. Raises: FieldError for anything else."""
    if isinstance(value, str):
        check_text(value, name)
        return str(value)
    if isinstance(value, (int, float, Decimal, date, time)) and not is_missing(value):
        return str(value)
    kind = "bytes or a picture" if isinstance(value, tuple) else brief(value)
    raise FieldError(name, f"text is needed, not {kind}")


def read_text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text field, None where it is missing."""
    value = fields.get(name)
    if is_missing(value):
        return None
    if isinstance(value, bool):
        raise FieldError(name, f"text is needed, not {value}")
    return as_text(value, name)


def read_label(fields: Mapping[str, Any], name: str) -> str | None:
    """A short label (category, id) without outer blanks."""
    text = read_text(fields, name)
    return None if text is None else text.strip()


def read_list(value: Any, name: str) -> list[Any]:
    """A list, or text that spells one in JSON or Python notation."""
    spelt = spelt_value(value)
    if isinstance(spelt, (list, tuple)):
        return list(spelt)
    raise FieldError(name, f"a list is needed, not {brief(value)}")


def spelt_value(value: Any) -> Any:
    """The list or record that a text spells in JSON or Python notation; anything else as it is."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "(", "{"):
        for parse in (json.loads, ast.literal_eval):
            try:
                spelt = parse(value.strip())
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                continue
            if isinstance(spelt, (list, tuple, dict)):
                return spelt
    return value


def read_choices(value: Any, name: str = "choices") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(texts, labels): labels are names that the data gives its choices, none for most.

    Taken are a list of texts; `{"text": [...], "label": [...]}`; a list of records of both; and a
    record of a text for each label. No texts for a missing or empty value.

    Raises: FieldError for a single choice, more than 26, a blank one, or two of one label.
    """
    value = spelt_value(value)
    if is_missing(value):
        return (), ()
    if isinstance(value, Mapping):
        texts, labels = _of_record(value, name)
    else:
        texts, labels = read_list(value, name), []
        if texts and all(isinstance(entry, Mapping) for entry in texts):
            texts, labels = _of_records(texts, name)
    marks = [re.match(r"\s*\(?([A-Z])[).:]\s", f"{text} ") for text in texts]
    letters = "".join(mark[1] for mark in marks if mark)
    if len(letters) == len(texts) and not LETTERS.startswith(letters):
        raise FieldError(name, f"they carry letters in another order ({', '.join(letters)})")
    for number, text in enumerate(texts, start=1):
        if is_missing(text) or isinstance(text, (list, tuple, Mapping, bytes)):
            raise FieldError(name, f"choice {number} is {brief(text)}, not a text")
    named = tuple(as_text(label, name).strip() for label in labels)
    if len(set(named)) < len(named) or len(named) not in (0, len(texts)):
        raise FieldError(name, f"{len(texts)} choices have the labels {', '.join(named)}")
    if len(texts) == 1:
        raise FieldError(name, "one choice only: multiple choice needs at least two")
    if len(texts) > len(LETTERS):
        raise FieldError(name, f"{len(texts)} choices: there are letters for {len(LETTERS)}")
    return tuple(as_text(text, name) for text in texts), named


def _of_record(value: Mapping[str, Any], name: str) -> tuple[list[Any], list[Any]]:
    keys = {str(key).casefold().rstrip("s"): key for key in value}
    if "text" in keys:
        labels = value[keys["label"]] if "label" in keys else []
        return read_list(value[keys["text"]], name), read_list(labels, name)
    # A Parquet record has every row's labels: those of other rows are null here.
    held = {key: text for key, text in value.items() if text is not None}
    return list(held.values()), list(held)


def _of_records(records: list[Any], name: str) -> tuple[list[Any], list[Any]]:
    texts, labels = [], []
    for number, record in enumerate(records, start=1):
        keys = {str(key).casefold(): key for key in record}
        if "text" not in keys:
            raise FieldError(name, f"choice {number} is {brief(record)}, which has no 'text'")
        texts.append(record[keys["text"]])
        if "label" in keys:
            labels.append(record[keys["label"]])
    return texts, labels


def read_cells(row: Mapping[str, Any], paths: Sequence[str]) -> list[Any]:
    """The choices of columns that hold one each (or a list), blank ones at the end left away.

    Raises: FieldError for a blank before a filled one: it would shift every letter after it.
    """
    values = [look_up(row, path) for path in paths]
    while values and is_missing(values[-1]):
        values.pop()
    cells: list[Any] = []
    for path, value in zip(paths, values, strict=False):
        if is_missing(value):
            raise FieldError(path, f"blank, although choice {paths[len(values) - 1]} is not")
        spelt = spelt_value(value)
        cells += spelt if isinstance(spelt, (list, tuple)) else [value]
    return cells


def read_accepted(value: Any, name: str = "answer") -> tuple[str, ...]:
    """Accepted texts of a free-form answer: one text or number, or a list of them.

    Raises: FieldError if there is none.
    """
    if isinstance(value, str) and value.strip().startswith("["):
        value = spelt_value(value)
    texts = value if isinstance(value, (list, tuple)) else [value]
    if not texts:
        raise FieldError(name, "an empty list: nothing would ever be right")
    if any(is_missing(text) for text in texts):
        raise FieldError(name, "missing: free-form items need an accepted text or a list")
    return tuple(as_text(text, name).strip() for text in texts)
