"""SHA-256 of files, and of what they will be once they are edited, in one reading."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from talo_export.checkpoint.plan import Edit

HASHED_BYTES = 1 << 20
"""Read at once into one buffer: small enough for a processor's cache, and new memory for each chunk
would cost as much time as the copy into it."""


def hash_edited(
    fd: int,
    size: int,
    edits: Sequence[Edit],
    abandoned: threading.Event | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[str, str]:
    """SHA-256 of a file's bytes, and of the same bytes with the edits in place.

    What lies before the first edited byte is hashed once. From there on the second hash has a
    thread of its own, which never waits for the first: what one has read, the other finds in the
    page cache. Stops early, with hashes of no use, when `abandoned` is set.
    """
    touching = [edit for edit in edits if edit.nbytes]
    fork = min((edit.offset for edit in touching), default=size)
    stop = abandoned or threading.Event()
    plain = hashlib.sha256()
    _update(plain, fd, range(fork), (), stop, progress)
    edited = plain.copy()
    if fork < size:
        rest = range(fork, size)
        with ThreadPoolExecutor(max_workers=1) as beside:
            other = beside.submit(_update, edited, fd, rest, touching, stop)
            try:
                _update(plain, fd, rest, (), stop, progress)
            except BaseException:
                stop.set()
                raise
            other.result()
    return plain.hexdigest(), edited.hexdigest()


def file_sha256(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file's bytes, as lowercase hexadecimal digits."""
    return edited_sha256(path, (), progress)


def edited_sha256(
    path: Path, edits: Sequence[Edit], progress: Callable[[int], None] = lambda _: None
) -> str:
    """SHA-256 that a file would have with the edits in place."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        size = os.fstat(file.fileno()).st_size
        _update(digest, file.fileno(), range(size), edits, threading.Event(), progress)
        return digest.hexdigest()


def _update(
    digest: hashlib._Hash,
    fd: int,
    positions: range,
    edits: Sequence[Edit],
    stop: threading.Event,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Hash the bytes at `positions` of a file as they are with the edits in place."""
    buffer = memoryview(bytearray(min(HASHED_BYTES, max(len(positions), 1))))
    position = positions.start
    while position < positions.stop and not stop.is_set():
        read = os.preadv(fd, [buffer[: min(len(buffer), positions.stop - position)]], position)
        if not read:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        chunk = buffer[:read]
        for edit in edits:
            begin, end = max(edit.offset, position), min(edit.end, position + read)
            if begin < end:
                edit.overwrite(chunk[begin - position : end - position], begin - edit.offset)
        digest.update(chunk)
        position += read
        progress(read)
