"""Ranges of bytes in files: read chunk by chunk, and compared side by side."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from talo_export.checkpoint.header import DTYPE_BITS, TensorEntry

CHUNK_BYTES = 4 << 20


def chunks(file: BinaryIO, offset: int, nbytes: int) -> Iterator[tuple[int, bytes]]:
    """(how many bytes come before it, chunk), of `nbytes` bytes from `offset` on.

    Raises OSError where the file ends before they do.
    """
    for start in range(0, nbytes, CHUNK_BYTES):
        size = min(CHUNK_BYTES, nbytes - start)
        file.seek(offset + start)
        chunk = file.read(size)
        if len(chunk) < size:
            raise OSError(errno.EIO, f"{file.name} became shorter while it was read")
        yield start, chunk


def paired(
    left: Path, left_offset: int, right: Path, right_offset: int, nbytes: int
) -> Iterator[tuple[int, bytes, bytes]]:
    """`chunks` of two files side by side."""
    with left.open("rb") as one, right.open("rb") as other:
        ours, theirs = chunks(one, left_offset, nbytes), chunks(other, right_offset, nbytes)
        for (start, first), (_, second) in zip(ours, theirs, strict=True):
            yield start, first, second


def same_bytes(left: Path, left_entry: TensorEntry, right: Path, right_entry: TensorEntry) -> bool:
    """Whether two tensors have the same bytes."""
    pairs = paired(left, left_entry.offset, right, right_entry.offset, left_entry.nbytes)
    return left_entry.nbytes == right_entry.nbytes and all(a == b for _, a, b in pairs)


def all_zero(path: Path, entry: TensorEntry) -> bool:
    """Whether a tensor's bytes are all 0x00. True for one without bytes."""
    with path.open("rb") as file:
        parts = chunks(file, entry.offset, entry.nbytes)
        return all(chunk.count(0) == len(chunk) for _, chunk in parts)


def zeroed(path: Path, entry: TensorEntry, other: Path, other_entry: TensorEntry) -> int:
    """How many elements of a tensor differ from another's of its size, and are 0x00; else 0.

    Elements of less than a byte are counted by bytes.
    """
    width = max(1, DTYPE_BITS.get(entry.dtype, 8) // 8)
    count = 0
    for _, *pair in paired(path, entry.offset, other, other_entry.offset, entry.nbytes):
        if len(pair[0]) % width:
            return 0
        ours, theirs = (np.frombuffer(chunk, np.uint8).reshape(-1, width) for chunk in pair)
        differ = (ours != theirs).any(axis=1)
        if ours[differ].any():
            return 0
        count += int(differ.sum())
    return count
