"""Find a benchmark's Parquet files, on the Hub or in a local copy, and open them as one table.

Both ways end in the same files read by the same code. From the Hub only the wanted split's files
are downloaded, at one resolved commit, which the task's source then names. Pictures stay encoded
in the memory-mapped table until somebody asks for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from talo_export.errors import TaloError
from talo_export.tasks.item import ItemImage


@dataclass(frozen=True)
class Location:
    """A data set: its name for people, the repositories that may hold it, in the order to try."""

    name: str
    repositories: tuple[str, ...]
    config: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class SplitFiles:
    """The Parquet files of one split; `source` says where they are from, and at what commit."""

    files: tuple[Path, ...]
    source: str


class Table:
    """A split's rows: everything but the pictures in memory, the pictures on disk.

    `rows` are plain dicts without the image columns; `images` gives a row's pictures.
    """

    def __init__(self, split: SplitFiles, image_columns: Iterable[str]) -> None:
        import datasets

        paths = [str(path) for path in split.files]
        try:
            table = datasets.Dataset.from_parquet(paths)
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


def find_split(location: Location, split: str, data: Path | None) -> SplitFiles:
    """The Parquet files of a split: below `data` if it is given, else from the Hub or its cache.

    Raises: TaloError saying what to download and how where neither has them.
    """
    return _local_files(location, split, data) if data else _hub_files(location, split)


def split_files(names: Iterable[str], config: str | None, split: str) -> tuple[str, ...]:
    """Which of a repository's files (paths with `/`) are this split of this configuration.

    Known layouts: `config/split-00000-of-00002.parquet`, `data/split-...`, `split.parquet`,
    `config/split/0000.parquet`, and a single Parquet file at the top that names no split. Without a
    configuration, those of all of them.
    """
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    of_split = [name for name in parquet if _names_split(PurePosixPath(name), split)]
    if config is not None:
        folders = [name for name in of_split if config in PurePosixPath(name).parts[:-1]]
        # Someone may have downloaded one configuration's folder alone.
        of_split = folders or [n for n in of_split if n.rpartition("/")[0] in ("", "data", split)]
    if not of_split and len(parquet) == 1 and "/" not in parquet[0]:
        return (parquet[0],)
    return tuple(of_split)


def _names_split(path: PurePosixPath, split: str) -> bool:
    stem = path.name.removesuffix(".parquet")
    return stem == split or stem.startswith(f"{split}-") or path.parent.name == split


def _local_files(location: Location, split: str, data: Path) -> SplitFiles:
    if not data.is_dir():
        raise TaloError(f"There is no directory {data} to read {location.name} from.")
    for root in _roots(location, data):
        names = [path.relative_to(root).as_posix() for path in root.rglob("*.parquet")]
        found = split_files(names, location.config, split)
        if found:
            return SplitFiles(tuple(root / name for name in found), source=str(root))
    raise TaloError(
        f"{data} has no Parquet files of {location.name}'s split {split}. "
        f"{_how_to_download(location, split)}"
    )


def _roots(location: Location, data: Path) -> Iterator[Path]:
    """Where a copy may lie, the most specific place first; `data` itself only if it holds one."""
    for repository in location.repositories:
        owner, _, name = repository.partition("/")
        yield from filter(
            Path.is_dir, (data / owner / name, data / f"{owner}--{name}", data / name)
        )
        yield from sorted(data.glob(f"datasets--{owner}--{name}/snapshots/*"))
    if (data / location.name).is_dir():
        yield data / location.name
    # A directory of several benchmarks must not lend one benchmark another's `data/test-...`.
    inside = {path.name for path in data.iterdir()}
    if any(data.glob("*.parquet")) or inside & {"data", location.config}:
        yield data


def _hub_files(location: Location, split: str) -> SplitFiles:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    reasons = []
    for repository in location.repositories:
        try:
            info = huggingface_hub.HfApi().dataset_info(repository, revision=location.revision)
        except HfHubHTTPError as error:
            reasons.append(f"{repository}: {str(error).splitlines()[0]}")
            continue
        except (OfflineModeIsEnabled, OSError) as error:
            cached = _cached(repository, location, split)
            if cached:
                return cached
            reasons.append(f"{repository}: the Hub cannot be reached ({type(error).__name__})")
            continue
        names = split_files(
            [entry.rfilename for entry in info.siblings or []], location.config, split
        )
        if not names:
            reasons.append(f"{repository}: no Parquet files of the split {split}")
            continue
        root = Path(
            huggingface_hub.snapshot_download(
                repository, repo_type="dataset", revision=info.sha, allow_patterns=list(names)
            )
        )
        return SplitFiles(tuple(root / name for name in names), f"hf://{repository}@{info.sha}")
    raise TaloError(
        f"{location.name} could not be loaded ({'; '.join(reasons)}). "
        f"{_how_to_download(location, split)}"
    )


def _cached(repository: str, location: Location, split: str) -> SplitFiles | None:
    """The split in the Hub's local cache, if an earlier download left it there."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        root = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", revision=location.revision, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    names = [path.relative_to(root).as_posix() for path in Path(root).rglob("*.parquet")]
    found = split_files(names, location.config, split)
    if not found:
        return None
    return SplitFiles(
        tuple(Path(root, name) for name in found), f"hf://{repository}@{os.path.basename(root)}"
    )


def _how_to_download(location: Location, split: str) -> str:
    repository = location.repositories[-1]
    folder = f"{location.config}/" if location.config else "*"
    return (
        f"Where there is a network, run `hf download {repository} --repo-type dataset "
        f"--include '{folder}{split}-*' --local-dir DIR/{repository.partition('/')[2]}`, then pass "
        "--data DIR."
    )


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
