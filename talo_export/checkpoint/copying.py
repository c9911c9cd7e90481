"""Copying one file as cheaply as the file system allows, while it is hashed.

The order of preference: a reflink (the copy shares the original's blocks until one is written to),
`copy_file_range` (the kernel copies), a plain loop. The source is only ever opened for reading.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from talo_export.checkpoint.files import BaseFile
from talo_export.checkpoint.hashing import hash_edited
from talo_export.checkpoint.plan import Edit
from talo_export.checkpoint.ranges import CHUNK_BYTES, chunks

Method = Literal["link", "reflink", "copy_file_range", "copy"]

HASHED_ANYWAY = 16 << 20
"""Up to this size a file is read for its hash although the file system cloned it."""
_FICLONE = 0x40049409
"""The Linux ioctl that makes a reflink, from linux/fs.h."""
_NOT_HERE = {
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM,
    errno.EBADF, errno.EACCES, errno.ETXTBSY,
}  # fmt: skip
"""What kernels answer where a faster way does not exist between two files."""


@dataclass(frozen=True, slots=True)
class Copied:
    """How a file was copied and the hashes that were taken: of the source, of the edited copy."""

    method: Method
    sha256: str | None
    sha256_edited: str | None


class Syncing:
    """Written files go to disk in the background while the next one is copied.

    Leaving the block waits until all of them are there, and raises what went wrong with the first.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._pending: list[Future[None]] = []

    def __enter__(self) -> Syncing:
        return self

    def sync(self, fd: int) -> None:
        """Sync the open file `fd` soon; it may be closed at once."""
        # A duplicate of the descriptor, because errors of writing are told to those who wrote.
        self._pending.append(self._pool.submit(_sync_and_close, os.dup(fd)))

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # After an interruption or a full disk nobody waits for files that are to be removed. Each
        # still runs, to close its descriptor.
        self._pool.shutdown(wait=kind is None)
        if kind is None:
            for future in self._pending:
                future.result()


def _sync_and_close(fd: int) -> None:
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_edited(
    source: BaseFile,
    target: Path,
    edits: Sequence[Edit] = (),
    *,
    sync: Callable[[int], None] = os.fsync,
    progress: Callable[[int], None] = lambda _: None,
) -> Copied:
    """Copy `source` to the new file `target`, put every edit's bytes in place, and `sync` it.

    `progress` is called with the bytes done since the last call. A source that is not what was
    listed, from the first byte to the last, is an error. Hashes are not taken of a large
    reflinked file without edits: it was never read.
    """
    size = source.nbytes
    with source.opened() as reader, target.open("xb") as writer:
        cloned = _reflink(reader.fileno(), writer.fileno())
        digests: tuple[str | None, str | None] = (None, None)
        method: Method = "reflink"
        if cloned:
            if edits or size <= HASHED_ANYWAY:
                digests = hash_edited(reader.fileno(), size, edits)
            progress(size)
        else:
            abandoned = threading.Event()
            with ThreadPoolExecutor(max_workers=1) as pool:
                hashing = pool.submit(hash_edited, reader.fileno(), size, edits, abandoned)
                try:
                    method = _copy_bytes(reader.fileno(), writer.fileno(), size, progress)
                    digests = hashing.result()
                finally:
                    # After an interruption nobody waits for the rest of a large file.
                    abandoned.set()
        for edit in edits:
            # Between the parts that are filled the source's own bytes are written again.
            for start, kept in chunks(reader, edit.offset, edit.nbytes):
                block = bytearray(kept)
                edit.overwrite(block, start)
                writer.seek(edit.offset + start)
                writer.write(block)
        writer.flush()
        _keep_attributes(writer.fileno(), os.fstat(reader.fileno()), unchanged=not edits)
        sync(writer.fileno())
    return Copied(method, digests[0], digests[1] if edits else None)


def _keep_attributes(fd: int, source: os.stat_result, *, unchanged: bool) -> None:
    """An unchanged file keeps its time, as a hard link to it would; what could be run still can.

    Other modes are the umask's: a base may be read-only, or written by a library that makes its
    files private.
    """
    if source.st_mode & 0o111:
        mode = os.fstat(fd).st_mode & 0o777
        os.fchmod(fd, mode | (mode & 0o444) >> 2)
    if unchanged:
        os.utime(fd, ns=(source.st_atime_ns, source.st_mtime_ns))


def can_reflink(source: Path, folder: Path) -> bool:
    """Whether the file system can clone `source` into `folder` (tried, then removed)."""
    probe = folder / ".reflink"
    try:
        with source.open("rb") as reader, probe.open("xb") as writer:
            return _reflink(reader.fileno(), writer.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _reflink(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        raise
    return True


def _copy_bytes(source: int, target: int, size: int, progress: Callable[[int], None]) -> Method:
    method: Method = "copy_file_range" if hasattr(os, "copy_file_range") else "copy"
    done = 0
    while done < size:
        wanted = min(CHUNK_BYTES, size - done)
        if method == "copy_file_range":
            try:
                copied = os.copy_file_range(source, target, wanted, done, done)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                method = "copy"
                continue
            if copied == 0:
                # Some file systems report success and copy nothing: the plain loop will tell.
                method = "copy"
                continue
        else:
            block = os.pread(source, wanted, done)
            if not block:
                raise OSError(errno.EIO, "the file became shorter while it was copied")
            copied = os.pwrite(target, block, done)
        done += copied
        progress(copied)
    return method
