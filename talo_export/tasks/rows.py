"""Read a file into rows, whatever its format: each row knows where it stood in the file.

Nothing here knows what a question is; `building.py` makes an item of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.text_rows import Records, json_lines, json_list, separated

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
    """All rows of a task file, in file order; numbers that stand for names are those names.

    Nothing is written, neither beside the file nor elsewhere.

    Raises: UsageError for a missing file or an unknown format; TaloError for content that cannot
    be parsed (naming the line) or that has no rows.
    """
    if not path.exists():
        raise UsageError(f"There is no task file {path}.")
    reader = _dataset_directory if path.is_dir() else READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise UsageError(f"{path} is not a task file: its name must end in one of {known}.")
    rows = [Row(where, fields) for where, fields in reader(path)]
    if not rows:
        raise TaloError(f"{path} is empty: a task file has one item a row.")
    return rows


def _parquet(path: Path) -> Records:
    from talo_export.tasks.table import parquet_table

    return parquet_table([path], str(path)).records()


def _dataset_directory(path: Path) -> Records:
    if not is_task_path(path):
        raise UsageError(
            f"{path} is a directory, but not one that `datasets` saved (no state.json in it)."
        )
    import datasets
    import pyarrow as pa

    from talo_export.tasks.table import dataset_table

    try:
        with without_bars():
            loaded = datasets.load_from_disk(str(path))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise TaloError(f"{path} cannot be read as a saved data set ({cause}).") from error
    if isinstance(loaded, datasets.DatasetDict):
        if len(loaded) != 1:
            example = path / next(iter(loaded))
            raise UsageError(
                f"{path} holds the splits {', '.join(loaded)}: name one, for instance {example}."
            )
        loaded = next(iter(loaded.values()))
    return dataset_table(loaded, str(path)).records()


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep the bars of `datasets` off the terminal: progress is the command line's to show."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


READERS: dict[str, Callable[[Path], Records]] = {
    ".jsonl": json_lines,
    ".json": json_list,
    ".csv": partial(separated, delimiter=","),
    ".tsv": partial(separated, delimiter="\t"),
    ".parquet": _parquet,
}
