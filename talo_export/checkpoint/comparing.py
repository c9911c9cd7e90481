"""Whether two ranges of bytes in files are the same, read side by side."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from talo_export.checkpoint.header import DTYPE_BITS, TensorEntry

CHUNK_BYTES = 1 << 20


def same_bytes(left: Path, left_entry: TensorEntry, right: Path, right_entry: TensorEntry) -> bool:
    """Whether two tensors have the same bytes."""
    if left_entry.nbytes != right_entry.nbytes:
        return False
    with left.open("rb", buffering=0) as one, right.open("rb", buffering=0) as other:
        done = 0
        while done < left_entry.nbytes:
            wanted = min(CHUNK_BYTES, left_entry.nbytes - done)
            first = os.pread(one.fileno(), wanted, left_entry.offset + done)
            second = os.pread(other.fileno(), len(first), right_entry.offset + done)
            if not first or first != second:
                return False
            done += len(first)
    return True


def all_zero(path: Path, entry: TensorEntry) -> bool:
    """Whether a tensor's bytes are all 0x00. True for one without bytes."""
    with path.open("rb", buffering=0) as file:
        done = 0
        while done < entry.nbytes:
            chunk = os.pread(file.fileno(), min(CHUNK_BYTES, entry.nbytes - done),
                             entry.offset + done)  # fmt: skip
            if not chunk or chunk.count(0) != len(chunk):
                return False
            done += len(chunk)
    return True


def zeroed(path: Path, entry: TensorEntry, other: Path, other_entry: TensorEntry) -> int:
    """How many elements of a tensor differ from another's of its size, and are 0x00; else 0.

    Elements of less than a byte are counted by bytes.
    """
    width = max(1, DTYPE_BITS.get(entry.dtype, 8) // 8)
    count = done = 0
    with path.open("rb", buffering=0) as one, other.open("rb", buffering=0) as two:
        while done < entry.nbytes:
            wanted = min(CHUNK_BYTES, entry.nbytes - done)
            first = np.frombuffer(os.pread(one.fileno(), wanted, entry.offset + done), np.uint8)
            second = np.frombuffer(
                os.pread(two.fileno(), wanted, other_entry.offset + done), np.uint8
            )
            if not first.size or first.size != second.size or first.size % width:
                return 0
            differ = (first != second).reshape(-1, width).any(axis=1)
            if first.reshape(-1, width)[differ].any():
                return 0
            count += int(differ.sum())
            done += first.size
    return count
