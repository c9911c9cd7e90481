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

    The second hash is forked from the first at the first edited byte, and from there on has a
    thread of its own. Stops early, with hashes of no use, when `abandoned` is set.
    """
    plain = hashlib.sha256()
    edited: hashlib._Hash | None = None
    position = 0
    buffer = memoryview(bytearray(min(HASHED_BYTES, max(size, 1))))
    with ThreadPoolExecutor(max_workers=1) as beside:
        while position < size and not (abandoned is not None and abandoned.is_set()):
            read = os.preadv(fd, [buffer[: min(len(buffer), size - position)]], position)
            if not read:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            chunk = buffer[:read]
            touching = [
                edit for edit in edits if edit.offset < position + read and edit.end > position
            ]
            if touching and edited is None:
                edited = plain.copy()
            if edited is None:
                plain.update(chunk)
            else:
                after = _patched(chunk, position, touching) if touching else chunk
                updated = beside.submit(edited.update, after)
                plain.update(chunk)
                updated.result()
            position += read
            progress(read)
    digest = plain.hexdigest()
    return digest, digest if edited is None else edited.hexdigest()


def file_sha256(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file's bytes, as lowercase hexadecimal digits."""
    return edited_sha256(path, (), progress)


def edited_sha256(
    path: Path, edits: Sequence[Edit], progress: Callable[[int], None] = lambda _: None
) -> str:
    """SHA-256 that a file would have with the edits in place."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return hash_edited(file.fileno(), size, edits, progress=progress)[1]


def _patched(chunk: memoryview, position: int, edits: Sequence[Edit]) -> bytearray:
    patched = bytearray(chunk)
    for edit in edits:
        begin, end = max(edit.offset, position), min(edit.end, position + len(chunk))
        patched[begin - position : end - position] = edit.filling(begin - edit.offset, end - begin)
    return patched
