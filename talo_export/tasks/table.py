"""A split's rows: everything but the pictures in memory, the pictures encoded on disk.

The Parquet files of a local copy and of the Hub end here, in one memory-mapped table of
`datasets`. A picture is read when somebody asks for it, and decoded only by a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError
from talo_export.tasks.item import ItemImage
from talo_export.tasks.split_files import Location, SplitFiles, local_split


def find_split(location: Location, split: str, data: Path | None) -> SplitFiles:
    """The Parquet files of a split: below `data` if it is given, else from the Hub or its cache.

    Raises: TaloError saying what to download and how where neither has them.
    """
    if data is not None:
        return local_split(location, split, data)
    from talo_export.tasks.hub_files import hub_split

    return hub_split(location, split)


class Table:
    """A split's rows: everything but the pictures in memory, the pictures on disk.

    `rows` are plain dicts without the image columns; `images` gives a row's pictures. `change`
    makes another data set of the files' (drops rows, adds columns) before either is looked at.
    """

    def __init__(
        self,
        split: SplitFiles,
        image_columns: Iterable[str],
        change: Callable[[Any], Any] | None = None,
    ) -> None:
        import datasets

        paths = [str(path) for path in split.files]
        try:
            with _without_bars():
                table = datasets.Dataset.from_parquet(paths)
                if change is not None:
                    # Dropped rows are only marked so: the columns below must really be without.
                    table = change(table).flatten_indices()
        except (datasets.exceptions.DatasetGenerationError, OSError, ValueError) as error:
            raise TaloError(f"{split.source} cannot be read as Parquet: {error}") from error
        self.source = split.source
        self.columns: tuple[str, ...] = tuple(table.column_names)
        self._pictures = {
            name: _undecoded(table, name) for name in image_columns if name in table.column_names
        }
        rest = [name for name in table.column_names if name not in self._pictures]
        self.rows: list[dict[str, Any]] = (
            table.select_columns(rest).to_list() if rest else [{} for _ in range(len(table))]
        )
        self._counts = {name: _counts(column, name) for name, column in self._pictures.items()}

    def images(self, row: int, columns: Iterable[str]) -> tuple[ItemImage, ...]:
        """The pictures in these columns of a row, blanks left out, none of them read yet."""
        return tuple(
            ItemImage(
                name=f"{self.source}, row {row + 1}, {column}",
                fetch=partial(self._read, column, row, position),
            )
            for column in columns
            if column in self._pictures
            for position in range(self._counts[column][row])
        )

    def _read(self, column: str, row: int, position: int) -> bytes:
        value = self._pictures[column][row][column]
        if isinstance(value, list):
            value = value[position]
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if not isinstance(value, bytes):
            raise TaloError(f"{self.source}, row {row + 1}: {column} holds no picture's bytes.")
        return value


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep the bars of `datasets` off the terminal: progress is the command line's to show."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _undecoded(table: Any, name: str) -> Any:
    """One image column by itself, its pictures left as encoded bytes."""
    import datasets

    feature = table.features[name]
    column = table.select_columns([name])
    if isinstance(feature, datasets.Image):
        return column.cast_column(name, datasets.Image(decode=False))
    if isinstance(getattr(feature, "feature", None), datasets.Image):
        return column.cast_column(name, datasets.List(datasets.Image(decode=False)))
    return column


def _counts(column: Any, name: str) -> list[int]:
    """How many pictures each row has, from the table's null marks and list lengths alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.data.column(name)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return [length or 0 for length in pc.list_value_length(values).to_pylist()]
    if pa.types.is_struct(values.type):
        fields = [values.type.field(i).name for i in range(values.type.num_fields)]
        if "bytes" in fields:
            values = pc.struct_field(values, "bytes")
    return [int(there) for there in pc.is_valid(values).to_pylist()]
