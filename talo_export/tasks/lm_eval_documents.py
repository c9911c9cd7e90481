"""The documents of a harness task, and the pictures that belong to each.

Pictures stand in columns that the YAML names, or its own function makes them of a document, as
lmms-eval's have it: it is given the document with its pictures opened and returns a list. Only
its count is kept: a picture is made again when it is asked for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.item import ItemImage
from talo_export.tasks.lm_eval_yaml import Function, TaskYaml
from talo_export.tasks.problems import FieldError, brief
from talo_export.tasks.rows import Row, read_rows, without_bars
from talo_export.tasks.split_files import Location, SplitFiles
from talo_export.tasks.table import Table, dataset_table, find_split, parquet_table

VISUAL = "doc_to_visual"


@dataclass(frozen=True)
class Documents:
    """The rows of a split; `visual` is the columns or the function of their pictures.

    Paths in a local file start at its `folder`, None for data that holds its pictures itself.
    """

    rows: list[Row]
    source: str
    visual: tuple[str, ...] | Function
    folder: Path | None = None

    def images(self, row: Row) -> list[Any]:
        """A document's pictures, or what its columns say of them.

        Raises: FieldError where the task's function makes none of it.
        """
        if isinstance(self.visual, Function):
            return [
                ItemImage(
                    name=f"{self.source}, {row.where}, picture {number + 1}",
                    fetch=partial(_png, self.visual, row, number),
                )
                for number in range(len(_made(self.visual, row)))
            ]
        values = [row.fields.get(column) for column in self.visual]
        return [one for v in values if v for one in (v if isinstance(v, (list, tuple)) else [v])]


def read_documents(task: TaskYaml, split: str, data: Path | None) -> Documents:
    """The documents of a split, after the YAML's `process_docs`.

    Raises: TaloError for documents that cannot be had or read.
    """
    given = task.get("doc_to_image", VISUAL)
    visual = (
        given
        if isinstance(given, Function)
        else tuple([given] if isinstance(given, str) else given or ())
    )
    process = task.get("process_docs")
    split, part = _slice(task, split)
    file = _local_file(task, split, data)
    if file is not None and file.suffix.lower() != ".parquet":
        rows = read_rows(file)[part]
        if process is not None:
            import datasets

            made = datasets.Dataset.from_list([row.fields for row in rows])
            rows = [
                Row(f"document {number}", dict(fields))
                for number, fields in enumerate(process.call("process_docs", made), start=1)
            ]
        return Documents(rows, str(file), visual, file.parent)
    found = (
        find_split(_location(task), split, data) if file is None else SplitFiles((file,), str(file))
    )
    table = parquet_table(found.files, found.source)
    if process is not None:
        table = _processed(process, found, part)
        part = slice(None)
    rows = [Row(f"row {number}", fields) for number, fields in enumerate(table.rows, start=1)][part]
    return Documents(rows, table.source, visual)


def _slice(task: TaskYaml, split: str) -> tuple[str, slice]:
    """`test[:10]` as its split and part. Raises: UsageError for a part that is no row numbers."""
    name, bracket, part = split.partition("[")
    match = re.fullmatch(r"(-?\d*):(-?\d*)\]", part)
    if not bracket:
        return split, slice(None)
    if match is None:
        raise UsageError(f"{task.path}: the split {split} is not supported, only as test[:10].")
    first, last = (int(number) if number else None for number in match.groups())
    return name, slice(first, last)


def _processed(process: Function, split: SplitFiles, part: slice) -> Table:
    """What `process_docs`, a function from data set to data set, makes of the files."""
    import datasets

    try:
        # What `datasets` keeps of it goes there: nothing is left anywhere, nor taken up from
        # another time. What is mapped can be read though its file is gone.
        with without_bars(), TemporaryDirectory(prefix="talo-export-") as folder:
            files = [str(path) for path in split.files]
            loaded = datasets.Dataset.from_parquet(files, cache_dir=folder)
            if part != slice(None):
                loaded = loaded.select(range(len(loaded))[part])
            # Dropped rows are only marked so: the table must really be without.
            made = process.call("process_docs", loaded).flatten_indices()
    except (datasets.exceptions.DatasetGenerationError, OSError, ValueError) as error:
        raise TaloError(f"{split.source} cannot be read as Parquet: {error}") from error
    return dataset_table(made, split.source)


def _location(task: TaskYaml) -> Location:
    repository, config = str(task.get("dataset_path")), task.get("dataset_name")
    return Location(str(config or "") or repository, {repository: None}, config)


def _local_file(task: TaskYaml, split: str, data: Path | None) -> Path | None:
    """A file of rows: `data` itself, or what `dataset_kwargs: data_files` names for the split."""
    if data is not None and data.is_file():
        return data
    named = (task.get("dataset_kwargs") or {}).get("data_files")
    if isinstance(named, Mapping):
        named = named.get(split)
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    if data is not None or named is None or "://" in str(named):
        return None
    if not isinstance(named, str):
        raise UsageError(f"{task.path}: data_files names {brief(named)} for {split}, not one file.")
    # The harness looks where it is started; a file beside the YAML needs no such luck.
    return Path(named) if Path(named).is_file() else task.path.parent / named


def opened(row: Row) -> dict[str, Any]:
    """A document as its authors' code knows it: pictures decoded, a single one not in a list."""

    def decoded(value: Any) -> Any:
        if not isinstance(value, tuple) or not all(isinstance(v, ItemImage) for v in value):
            return value
        pictures = [image.open() for image in value]
        return pictures[0] if len(pictures) == 1 else pictures or None

    return {name: decoded(value) for name, value in row.fields.items()}


def _made(function: Function, row: Row) -> list[Any]:
    made = function.call(VISUAL, opened(row))
    if not isinstance(made, (list, tuple)) or not all(hasattr(one, "save") for one in made):
        raise FieldError(VISUAL, f"{function.name} gives {brief(made)}, no list of pictures")
    return list(made)


def _png(function: Function, row: Row, number: int) -> bytes:
    buffer = io.BytesIO()
    _made(function, row)[number].save(buffer, "PNG")
    return buffer.getvalue()
