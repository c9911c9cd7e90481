"""The files of a checkpoint directory, and which paths may be trusted.

A base directory is someone else's work: it may hold symbolic links, pipes, names that are not
text. Every path the rest of the room reads comes from here, so nothing outside the directory (or,
for a Hub cache, outside that repository's blobs) is ever read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO

from pydantic import AfterValidator

from talo_export.errors import TaloError, UsageError

GGUF = ".gguf"
SKIPPED = (".git", ".cache/huggingface")
"""Records of where a download came from, not part of a checkpoint."""


@dataclass(frozen=True, slots=True)
class BaseFile:
    """One file of a directory. `name` is relative, with forward slashes; `source` is resolved."""

    name: str
    source: Path
    nbytes: int
    in_cache: bool
    """It lies in the Hub cache: its bytes belong to every user of that cache."""
    mtime_ns: int
    inode: int

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, open for reading. Raises `TaloError` where it is, before the block or after
        it, another one than was listed, or has another size or time of change."""
        with self.source.open("rb") as reader:
            self.check(os.fstat(reader.fileno()))
            yield reader
            self.check(os.fstat(reader.fileno()))

    def check(self, status: os.stat_result) -> None:
        """Raise `TaloError` where this is not the status of the file that was listed."""
        seen = (status.st_size, status.st_mtime_ns, status.st_ino)
        if seen != (self.nbytes, self.mtime_ns, self.inode):
            raise TaloError(f"{self.source} changed meanwhile: stop what writes to it.")


def list_files(directory: Path) -> tuple[BaseFile, ...]:
    """Every file below `directory`, sorted by name; only itself where it is a `.gguf` file.

    Raises `UsageError` where the directory does not exist, `TaloError` naming the first entry that
    is neither a plain file nor a link to one inside the directory or its Hub cache.
    """
    if directory.suffix == GGUF and directory.is_file():
        target = directory.resolve()
        in_cache = cache_blobs(directory.parent.resolve()) == target.parent
        return (_described(directory.name, target, target.stat(), in_cache),)
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory.")
    root = directory.resolve()
    blobs = cache_blobs(root)
    found: list[BaseFile] = []
    try:
        _walk(root, "", root, blobs, found)
    except OSError as error:
        raise TaloError(f"{directory} cannot be read: {error.strerror or error}.") from error
    return tuple(sorted(found, key=lambda file: file.name))


def check_text(directory: Path) -> None:
    """Raise `UsageError` where a base's path is not UTF-8: no manifest or card could name it."""
    try:
        str(directory.resolve()).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the path {str(directory)!r} is not UTF-8, so no manifest can name it: rename it."
        ) from error


def cache_blobs(directory: Path) -> Path | None:
    """The `blobs` folder of the Hub cache entry that `directory` (resolved) is a snapshot of.

    The cache's layout is `models--OWNER--NAME/{blobs,snapshots/REVISION}`, see
    https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    snapshots = directory.parent
    entry = snapshots.parent
    if snapshots.name == "snapshots" and entry.name.startswith("models--"):
        blobs = entry / "blobs"
        return blobs if blobs.is_dir() and not blobs.is_symlink() else None
    return None


def safe_name(name: object, where: str) -> str:
    """`name` where it is a plain relative path that stays inside its directory.

    Raises `TaloError` on absolute paths, `..`, back slashes, empty parts and control characters.
    """
    if not isinstance(name, str) or not name:
        raise TaloError(f"{where} names {name!r}, which is not a file name.")
    parts = name.split("/")
    if (
        "\\" in name
        or any(ord(char) < 32 or 0xD800 <= ord(char) <= 0xDFFF for char in name)
        or any(part in ("", ".", "..") for part in parts)
        or PurePosixPath(name).is_absolute()
        or (len(name) > 1 and name[1] == ":")
    ):
        raise TaloError(
            f"{where} names {name!r}, which is no path inside the checkpoint directory."
        )
    return name


def _inside(name: str) -> str:
    try:
        return safe_name(name, "it")
    except TaloError as error:
        raise ValueError("which is no path inside the checkpoint directory") from error


SafeName = Annotated[str, AfterValidator(_inside)]
"""A `safe_name`, in what is read by `codec.from_json`."""


def _walk(folder: Path, prefix: str, root: Path, blobs: Path | None, found: list[BaseFile]) -> None:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = prefix + entry.name
            if name in SKIPPED:
                continue
            try:
                safe_name(name, str(root))
            except TaloError as error:
                raise TaloError(
                    f"{str(root)!r} holds a file whose name is not UTF-8, or has a backslash, a "
                    f"colon or control characters, so that no manifest can name it ({name!r}): "
                    "rename it."
                ) from error
            if entry.is_dir(follow_symlinks=False):
                _walk(Path(entry.path), name + "/", root, blobs, found)
            else:
                found.append(_file(Path(entry.path), name, root, blobs))


def _file(path: Path, name: str, root: Path, blobs: Path | None) -> BaseFile:
    try:
        source = path.resolve(strict=True)
        status = source.stat()
    except (OSError, RuntimeError) as error:
        raise TaloError(f"{path} is a link that leads nowhere: download the base again.") from error
    in_cache = blobs is not None and source.is_relative_to(blobs)
    if not in_cache and not source.is_relative_to(root):
        raise TaloError(
            f"{path} is a link out of the checkpoint, to {source}: put the file itself there, "
            "or give the directory it lies in."
        )
    if not stat.S_ISREG(status.st_mode):
        raise TaloError(f"{path} is not a plain file: remove it from the checkpoint.")
    return _described(name, source, status, in_cache)


def _described(name: str, source: Path, status: os.stat_result, in_cache: bool) -> BaseFile:
    return BaseFile(name, source, status.st_size, in_cache, status.st_mtime_ns, status.st_ino)
