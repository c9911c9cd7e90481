"""Whether two ranges of bytes in files are the same, read side by side."""

from __future__ import annotations

import os
from pathlib import Path

from talo_export.checkpoint.header import TensorEntry

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
