"""Read a file into rows, whatever its format: each row knows where it stood in the file.

Nothing here knows what a question is; `fields.py` makes an item of a row.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.problems import Problems

DATASET_MARKS = ("state.json", "dataset_dict.json")


@dataclass(frozen=True)
class Row:
    """One record. `where` is "line 7" (text files, counted from 1) or "row 7" (the others)."""

    where: str
    fields: dict[str, Any]


def is_task_path(path: Path) -> bool:
    """Whether this existing path is of a kind `read_rows` reads."""
    if path.is_dir():
        return any((path / mark).is_file() for mark in DATASET_MARKS)
    return path.is_file() and path.suffix.lower() in READERS


def read_rows(path: Path) -> list[Row]:
    """All rows of a task file, in file order.

    Raises: UsageError for a missing file or an unknown format; TaloError for content that cannot
    be parsed (naming the line) or that has no rows.
    """
    if not path.exists():
        raise UsageError(f"There is no task file {path}.")
    if path.is_dir():
        rows = list(_dataset_directory(path))
    else:
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            known = ", ".join(READERS)
            raise UsageError(f"{path} is not a task file: its name must end in one of {known}.")
        rows = list(reader(path))
    if not rows:
        raise TaloError(f"{path} is empty: a task file has one item a row.")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaloError(
            f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8 and try again."
        ) from error


def _jsonl(path: Path) -> Iterator[Row]:
    problems = Problems(str(path))
    # Not str.splitlines: it also breaks at U+2028 and friends, which JSON strings may hold.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(
                f"line {number}", None, f"not valid JSON ({error.msg}, column {error.colno})"
            )
            continue
        if isinstance(record, dict):
            yield Row(f"line {number}", record)
        else:
            problems.add(f"line {number}", None, "not a JSON object: one item is {...} on one line")
    problems.raise_if_any()


def _json(path: Path) -> Iterator[Row]:
    text = _text(path)
    if not text.strip():
        return
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise TaloError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno})"
        ) from error
    if not isinstance(records, list):
        raise TaloError(f"{path} holds no list: a .json task file is one list of objects.")
    problems = Problems(str(path))
    for number, record in enumerate(records, start=1):
        if isinstance(record, dict):
            yield Row(f"row {number}", record)
        else:
            problems.add(f"row {number}", None, "not a JSON object")
    problems.raise_if_any()


def _separated(path: Path, delimiter: str) -> Iterator[Row]:
    # One base64 image is one cell, far over the csv module's default limit of 128 KiB.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = iter(_text(path).splitlines(keepends=True))
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
                header = [cell.strip() for cell in cells]
                repeated = {name for name in header if header.count(name) > 1}
                if repeated:
                    raise TaloError(f"{path} has the column '{min(repeated)}' twice.")
            elif len(cells) != len(header):
                problems.add(where, None, f"{len(cells)} cells, but the header has {len(header)}")
            else:
                yield Row(where, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise TaloError(f"{path}, line {reader.line_num}: {error}") from error
    problems.raise_if_any()


def _csv(path: Path) -> Iterator[Row]:
    return _separated(path, ",")


def _tsv(path: Path) -> Iterator[Row]:
    return _separated(path, "\t")


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise TaloError(f"{path} cannot be read as Parquet: {error}") from error
    for number, record in enumerate(table.to_pylist(), start=1):
        yield Row(f"row {number}", record)


def _dataset_directory(path: Path) -> Iterator[Row]:
    import datasets

    if not is_task_path(path):
        raise UsageError(
            f"{path} is a directory, but not one that `datasets` saved (no state.json in it)."
        )
    loaded = datasets.load_from_disk(str(path))
    if isinstance(loaded, datasets.DatasetDict):
        if len(loaded) != 1:
            example = path / next(iter(loaded))
            raise UsageError(
                f"{path} holds the splits {', '.join(loaded)}: name one, for instance {example}."
            )
        loaded = next(iter(loaded.values()))
    # Undecoded: the bytes as stored are what the image's identity (its hash) is taken of.
    for name, feature in loaded.features.items():
        inner = getattr(feature, "feature", None)
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(name, datasets.Image(decode=False))
        elif isinstance(inner, datasets.Image):
            loaded = loaded.cast_column(name, datasets.List(datasets.Image(decode=False)))
    for number, record in enumerate(loaded, start=1):
        yield Row(f"row {number}", record)


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
