"""A table on disk: everything but the pictures in memory, the pictures where they are.

Parquet files (a user's, a local copy's, the Hub's) and saved data sets end here. Nothing is
written, neither beside the data nor into a cache, and a picture's bytes are read when somebody
asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talo_export.errors import TaloError
from talo_export.tasks.item import ItemImage
from talo_export.tasks.split_files import Location, SplitFiles, local_split

if TYPE_CHECKING:
    import pyarrow as pa


class Label(str):
    """The name of a label, which knows the names of all that its column can hold."""

    names: tuple[str, ...]

    def __new__(cls, names: Sequence[str], number: int) -> Label:
        label = super().__new__(cls, names[number])
        label.names = tuple(names)
        return label


@dataclass(frozen=True)
class Table:
    """Rows as plain values by column; a column of pictures holds a tuple of `ItemImage` a row.

    `features` are the columns as `datasets` declares them in the files' metadata, empty where the
    files were written by something else.
    """

    source: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    features: dict[str, Any]

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Where each row stands and its fields, `ClassLabel` columns by their names."""
        labelled = "ClassLabel" in json.dumps(self.features)
        for number, row in enumerate(self.rows, start=1):
            if labelled:
                row = {name: _named(value, self.features.get(name)) for name, value in row.items()}
            yield f"row {number}", row


def find_split(location: Location, split: str, data: Path | None) -> SplitFiles:
    """The Parquet files of a split: below `data` if it is given, else from the Hub or its cache.

    Raises: TaloError saying what to download and how where neither has them.
    """
    if data is not None:
        return local_split(location, split, data)
    from talo_export.tasks.hub_files import hub_split

    return hub_split(location, split)


def parquet_table(files: Sequence[Path], source: str) -> Table:
    """The table in these files, one after the other.

    Raises: TaloError for what is no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {}
    features: dict[str, Any] = {}
    try:
        for path in files:
            with pq.ParquetFile(path) as file:
                schema, count = file.schema_arrow, file.metadata.num_rows
                cells = partial(_parquet_cells, file, str(path))
                rows += _rows(schema, count, file.read, cells, source, first=len(rows))
                columns |= dict.fromkeys(schema.names)
                features |= _features(schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TaloError(f"{source} cannot be read as Parquet: {error}") from error
    return Table(source, tuple(columns), rows, features)


def dataset_table(dataset: Any, source: str) -> Table:
    """The table of a `datasets.Dataset` whose rows lie as they stand, none of them only marked."""
    table = dataset.data.table

    def cells(name: str) -> Iterator[Cell]:
        return (_cell(value.as_py(), value.as_py) for value in table.column(name))

    rows = _rows(table.schema, len(table), table.select, cells, source)
    return Table(source, tuple(table.column_names), rows, dataset.features.to_dict())


# A cell of pictures: a way to read each one's bytes, or what stands there where it is no bytes.
Cell = list[Any]


def _rows(
    schema: pa.Schema,
    count: int,
    read: Callable[[list[str]], pa.Table],
    cells: Callable[[str], Iterable[Cell]],
    source: str,
    first: int = 0,
) -> list[dict[str, Any]]:
    """`count` rows: what `read` gives of columns, and the pictures in the `cells` of the others."""
    pictures = [field.name for field in schema if _holds_pictures(field.type)]
    rest = [name for name in schema.names if name not in pictures]
    rows = read(rest).to_pylist() if rest else [{} for _ in range(count)]
    for column in pictures:
        for number, (row, cell) in enumerate(zip(rows, cells(column), strict=True), first + 1):
            name = f"{source}, row {number}, {column}"
            row[column] = tuple(ItemImage(name, fetch=c) if callable(c) else c for c in cell)
    return rows


def _cell(value: Any, fetch: Any) -> Cell:
    """What `datasets` stores: bytes, {"bytes", "path"} or nothing, or a list of them."""
    values = value if isinstance(value, list) else [value]
    cell: Cell = []
    for position, one in enumerate(values):
        held = one.get("bytes") if isinstance(one, dict) else one
        if held is not None:
            cell.append(partial(_bytes, fetch, position))
        elif isinstance(one, dict) and one.get("path") is not None:
            cell.append(one)
    return cell


def _bytes(fetch: Any, position: int) -> bytes:
    value = fetch()
    if isinstance(value, list):
        value = value[position]
    return value["bytes"] if isinstance(value, dict) else value


def _parquet_cells(file: Any, path: str, name: str) -> Iterable[Cell]:
    """The cells of a column, each picture to be read again from the row group that it lies in."""
    for group in range(file.num_row_groups):
        known = _countable(file, group, name)
        column = file.read_row_group(group, columns=[known or name]).column(name)
        for number in range(len(column)):
            value = column[number].as_py()
            if known is not None:
                # Read without the bytes: a picture that is not null has them.
                there = value if isinstance(value, list) else [value]
                value = [None if one is None else b"" for one in there]
            yield _cell(value, partial(_from_group, path, group, name, number))


def _countable(file: Any, group: int, name: str) -> str | None:
    """A small column that shows where pictures are, None where only the pictures themselves do.

    A picture is a record of `bytes` and `path`. Where as many bytes are null as paths are read
    without their record, whether there is a record says whether there are bytes.
    """
    metadata = file.metadata.row_group(group)
    leaves = [metadata.column(number) for number in range(metadata.num_columns)]
    own = {
        leaf.path_in_schema: leaf for leaf in leaves if leaf.path_in_schema.startswith(f"{name}.")
    }
    paths = [path for path in own if path.endswith(".path")]
    held = [leaf for path, leaf in own.items() if path.endswith(".bytes")]
    if len(own) != 2 or not paths or not held:
        return None
    statistics = held[0].statistics
    if statistics is None or not statistics.has_null_count:
        return None
    column = file.read_row_group(group, columns=paths).column(name)
    nulls = column.null_count
    if hasattr(column.type, "value_type"):
        lengths = column.combine_chunks().value_lengths()
        nulls = sum(not length for length in lengths.to_pylist())
        nulls += column.combine_chunks().flatten().null_count
    return paths[0] if statistics.null_count == nulls else None


@lru_cache(maxsize=2)
def _row_group(path: str, group: int, name: str) -> pa.ChunkedArray:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[name]).column(name)


def _from_group(path: str, group: int, name: str, number: int) -> Any:
    return _row_group(path, group, name)[number].as_py()


def _holds_pictures(kind: pa.DataType) -> bool:
    """Whether a column's type is bytes, a record with bytes, or a list of either."""
    import pyarrow.types as pt

    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _holds_pictures(kind.value_type)
    if pt.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return "bytes" in names and _holds_pictures(kind.field("bytes").type)
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind))


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The columns as `datasets` declares them. Raises: ValueError for metadata that is no JSON."""
    stored = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(stored).get("info", {}).get("features") if stored else None
    return features if isinstance(features, dict) else {}


def _named(value: Any, feature: Any) -> Any:
    """A value with label numbers turned into their names; a number without a name is missing."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = {"feature": feature[0]}
    if not isinstance(feature, dict) or value is None:
        return value
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names") or []
        known = isinstance(value, int) and 0 <= value < len(names)
        return Label(names, value) if known else None
    if isinstance(value, list):
        return [_named(one, feature.get("feature")) for one in value]
    if isinstance(value, dict):
        inner = feature.get("feature", feature)
        return {name: _named(one, inner.get(name)) for name, one in value.items()}
    return value
