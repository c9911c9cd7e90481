"""Which Parquet files are a split of a data set, and where a local copy of it may lie."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from talo_export.errors import TaloError

SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})")


@dataclass(frozen=True)
class Location:
    """A data set: its name for people, the repositories that may hold it, in the order to try.

    `revision` is the one that the user asked for; without it the commit that stands beside the
    repository is taken, and the newest where there is none.
    """

    name: str
    repositories: Mapping[str, str | None]
    config: str | None = None
    revision: str | None = None

    def revision_of(self, repository: str) -> str | None:
        """The commit, branch or tag to read; None for the newest."""
        return self.revision or self.repositories[repository]


@dataclass(frozen=True)
class SplitFiles:
    """The Parquet files of one split; `source` says where they are from, and at what commit."""

    files: tuple[Path, ...]
    source: str


def split_files(names: Iterable[str], config: str | None, split: str) -> tuple[str, ...]:
    """Which of a repository's files (paths with `/`) are this split of this configuration.

    Known layouts: `config/split-00000-of-00002.parquet`, `data/split-...`, `split.parquet`,
    `config/split/0000.parquet`, and a single Parquet file at the top that names no split. Without
    a configuration, those of all of them.
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


def missing_shards(names: Iterable[str]) -> str | None:
    """ "1 of 2 files" where shards that the others' names count are not there; None if all are."""
    there: dict[tuple[str, int], int] = defaultdict(int)
    for name in names:
        match = SHARD.match(name)
        if match:
            there[match.group(1), int(match.group(2))] += 1
    lacking = [(count, total) for (_, total), count in there.items() if count < total]
    return f"{lacking[0][0]} of {lacking[0][1]} files" if lacking else None


def files_below(root: Path, location: Location, split: str) -> tuple[Path, ...]:
    """The split's files below a directory; none if it has none.

    Raises: TaloError if some of its shards are missing.
    """
    names = [path.relative_to(root).as_posix() for path in root.rglob("*.parquet")]
    found = split_files(names, location.config, split)
    lacking = missing_shards(found)
    if lacking:
        raise TaloError(
            f"{root} has only {lacking} of {location.name}'s split {split}: download the others."
        )
    return tuple(root / name for name in found)


def local_split(location: Location, split: str, data: Path) -> SplitFiles:
    """The split in a local copy. Raises: TaloError saying what to download, if it is not there."""
    if not data.is_dir():
        raise TaloError(f"There is no directory {data} to read {location.name} from.")
    for root in _roots(location, data):
        found = files_below(root, location, split)
        if found:
            return SplitFiles(found, source=str(root))
    raise TaloError(
        f"{data} has no Parquet files of {location.name}'s split {split}. "
        f"{how_to_download(location, split)}"
    )


def how_to_download(location: Location, split: str) -> str:
    """What to run on a machine that has a network, as a sentence."""
    repository = list(location.repositories)[-1]
    folder = f"{location.config}/" if location.config else "*"
    revision = location.revision_of(repository)
    pinned = f"--revision {revision} " if revision else ""
    return (
        f"Where there is a network, run `hf download {repository} --repo-type dataset {pinned}"
        f"--include '{folder}{split}-*' --local-dir DIR/{repository.partition('/')[2]}`, then pass "
        "--data DIR."
    )


def _names_split(path: PurePosixPath, split: str) -> bool:
    stem = path.name.removesuffix(".parquet")
    return stem == split or stem.startswith(f"{split}-") or path.parent.name == split


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
