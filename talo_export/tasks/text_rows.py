"""JSON lines, JSON, CSV and TSV as records, with the cause where a file is not what it is named."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError
from talo_export.tasks.problems import FieldError, Problems

Records = Iterator[tuple[str, dict[str, Any]]]
"""Where each record stood ("line 7", counted from 1), and its fields."""

LONGEST_NUMBER = 1000
"""Digits of an integer that is still read; Python refuses more than 4,300."""

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def json_lines(path: Path) -> Records:
    """The objects of a JSON lines file. Raises: TaloError naming up to ten lines."""
    text = _text(path)
    if text.lstrip()[:1] == "[" and _is_list_of_objects(text):
        raise TaloError(f"{path} holds one JSON list: name it .json.")
    problems = Problems(str(path))
    # Not str.splitlines: it also breaks at U+2028 and friends, which JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = _parsed(line)
            if not isinstance(record, dict):
                raise FieldError(None, "not a JSON object: one item is {...} on one line")
        except json.JSONDecodeError as error:
            told = _in_our_words(error)
            cause = f"not valid JSON ({told.msg}, column {told.colno})"
            problems.add(f"line {number}", FieldError(None, cause))
        except FieldError as error:
            problems.add(f"line {number}", error)
        else:
            yield f"line {number}", record
    problems.raise_if_any()


def json_list(path: Path) -> Records:
    """The objects of a JSON list. Raises: TaloError for anything else, with the cause."""
    text = _text(path)
    if not text.strip():
        return
    try:
        records = _parsed(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip()[:1] == "{":
            raise TaloError(f"{path} holds an object a line: name it .jsonl.") from None
        told = _in_our_words(error)
        raise TaloError(
            f"{path}, line {told.lineno}: not valid JSON ({told.msg}, column {told.colno})"
        ) from error
    except FieldError as error:
        place = f", field '{error.field}'" if error.field else ""
        raise TaloError(f"{path}{place}: {error}") from error
    if not isinstance(records, list):
        keys = f", only an object with {', '.join(records)}" if isinstance(records, dict) else ""
        raise TaloError(f"{path} holds no list{keys}: a .json task file is one list of objects.")
    problems = Problems(str(path))
    for number, record in enumerate(records, start=1):
        if isinstance(record, dict):
            yield f"row {number}", record
        else:
            problems.add(f"row {number}", FieldError(None, "not a JSON object"))
    problems.raise_if_any()


def separated(path: Path, delimiter: str) -> Records:
    """The rows of a CSV or TSV file below its header; every cell is a text, blank ones too."""
    # One base64 image is one cell, far over the csv module's default limit of 128 KiB.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    # Line breaks are those of CSV alone: U+2028, U+0085 and form feeds are text.
    lines = io.StringIO(_text(path), newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    problems = Problems(str(path))
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            where, start = f"line {start}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(path, cells, delimiter)
            elif len(cells) != len(header):
                blank = not any(cell.strip() for cell in cells[len(header) :])
                more = ", those behind it blank" if blank and len(cells) > len(header) else ""
                counts = f"{len(cells)} cells, but the header has {len(header)}{more}"
                problems.add(where, FieldError(None, counts))
            else:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise TaloError(f"{path}, line {reader.line_num}: {error}") from error
    problems.raise_if_any()


def _header(path: Path, cells: list[str], delimiter: str) -> list[str]:
    header = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise TaloError(f"{path} has the column '{min(repeated)}' twice.")
    other = max(DELIMITERS, key=cells[0].count)
    if len(cells) == 1 and other in cells[0]:
        usual = DELIMITERS[delimiter]
        named = {",": "name it .csv", "\t": "name it .tsv"}
        todo = named.get(other, f"save it with {usual}")
        raise TaloError(f"{path} has {DELIMITERS[other]} between its cells, not {usual}: {todo}.")
    return header


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        cause = "it is UTF-16" if wide else f"byte {error.start}"
        raise TaloError(
            f"{path} is not UTF-8 text ({cause}): save it as UTF-8 and try again."
        ) from error
    if "\0" in text[:1000]:
        raise TaloError(f"{path} is not UTF-8 text (it holds null bytes): save it as UTF-8.")
    return text.lstrip("\ufeff")


def _parsed(text: str) -> Any:
    """JSON as Python values. Raises: JSONDecodeError, or FieldError for what cannot be kept."""
    try:
        return json.loads(text, object_pairs_hook=_record, parse_int=_integer)
    except RecursionError as error:
        raise FieldError(None, "lists or objects nested too deeply") from error


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise FieldError(repeated, "given twice")
    for name, value in pairs:
        for text in (name, *(value if isinstance(value, list) else [value])):
            if isinstance(text, str) and not text.isascii():
                check_text(text, name)
    return record


def check_text(text: str, name: str) -> None:
    """Raises: FieldError for a text that no file can hold: half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])[1:-1]
        raise FieldError(
            ascii(name)[1:-1],
            f"{half} is half of a character: the text was cut, or escaped wrongly",
        ) from error


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise FieldError(None, f"a number of {len(digits):,} digits: write it as a text")
    return int(digits)


def _in_our_words(error: json.JSONDecodeError) -> json.JSONDecodeError:
    """The parser's error, but a comma too many named as such, where it stands.

    Python 3.13 points at a comma before a closing bracket, older ones at the bracket.
    """
    doc = error.doc
    comma = error.pos if doc[error.pos :].startswith(",") else len(doc[: error.pos].rstrip()) - 1
    behind = doc[comma + 1 :].lstrip()[:1]
    if doc[comma : comma + 1] != ",":
        return error
    if error.msg == "Extra data":
        return json.JSONDecodeError("a comma after the object", doc, comma)
    if behind and behind in "}]":
        return json.JSONDecodeError(f"a comma before '{behind}'", doc, comma)
    return error


def _is_list_of_objects(text: str) -> bool:
    try:
        records = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(records, list) and any(isinstance(record, dict) for record in records)
