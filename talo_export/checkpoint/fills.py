"""What a filled tensor's bytes are: one short pattern, repeated.

`zero` is the byte pattern that decodes to exactly 0.0 in the tensor's storage; `uniform` and
`mean` are one number in one of the float formats. The numbers are rounded as torch rounds a
Python float it fills a tensor with (through float32 for the 16-bit formats), so the bytes on disk
equal those of the same intervention on the live model. numpy only: importing torch would cost
more memory than all the rest of a write.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talo_export.checkpoint.header import TensorEntry
from talo_export.checkpoint.ranges import chunks
from talo_export.errors import UsageError
from talo_export.knockout import Fill

FLOATS = ("BF16", "F16", "F32", "F64")
"""The dtypes that `uniform` and `mean` exist for."""


def encode(value: float, dtype: str) -> bytes:
    """The little-endian bytes of one float element of `value`, rounded as torch does."""
    if dtype == "F64":
        return struct.pack("<d", value)
    single = np.float32(value)
    if dtype == "F32":
        return single.tobytes()
    if dtype == "F16":
        return np.float16(single).tobytes()
    if dtype == "BF16":
        bits = int(single.view(np.uint32))
        # Round half to even on the lower 16 bits; the fills are finite, so no NaN can arise.
        bits += 0x7FFF + ((bits >> 16) & 1)
        return struct.pack("<H", bits >> 16)
    raise UsageError(f"uniform and mean fills exist for {', '.join(FLOATS)}, not for {dtype}.")


def sum_of_runs(
    path: Path, entry: TensorEntry, lengths: Sequence[int], chosen: Sequence[bool]
) -> tuple[float, int]:
    """Sum (float64) and number of a float tensor's elements on disk that lie in chosen runs.

    The tensor is runs of `lengths` elements in turn, over and over to its end.
    """
    if entry.dtype not in FLOATS:
        raise UsageError(f"tensor {entry.name!r} is {entry.dtype}: its mean is not defined here.")
    if all(chosen):
        lengths, chosen = [entry.elements], [True]
    width = entry.nbytes // entry.elements if entry.elements else 1
    total, count, position = 0.0, 0, 0
    with path.open("rb") as file:
        for length, wanted in itertools.cycle(zip(lengths, chosen, strict=True)):
            if position >= entry.nbytes:
                break
            size = min(length * width, entry.nbytes - position) if wanted else 0
            for _, raw in chunks(file, entry.offset + position, size):
                values = _decode(raw, entry.dtype)
                total += float(values.sum(dtype=np.float64))
                count += values.size
            position += length * width
    return total, count


def checked_mean(total: float, count: int, name: str) -> float:
    """`total / count`, 0 of nothing. Raises `UsageError` where it is not a finite number."""
    mean = total / count if count else 0.0
    if not np.isfinite(mean):
        raise UsageError(f"the mean of {name!r} is not a finite number: use --fill zero.")
    return mean


def tensor_mean(path: Path, entry: TensorEntry) -> float:
    """The mean of a float tensor on disk. Raises `UsageError` where it is not a finite number."""
    return checked_mean(*sum_of_runs(path, entry, [1], [True]), entry.name)


def pattern(
    fill: Fill, path: Path, entry: TensorEntry, *, d_out: int | None, is_bias: bool
) -> bytes:
    """The bytes repeated over `entry` for a fill of a plain (unquantised) tensor.

    `d_out` is the number of output features of the projection, needed for `uniform` weights only.
    Raises `UsageError` where the fill does not exist for the dtype.
    """
    if fill == "zero":
        return b"\x00"
    if entry.dtype not in FLOATS:
        raise UsageError(
            f"fill {fill!r} exists for float weights only and {entry.name!r} is {entry.dtype}: "
            "use --fill zero."
        )
    if fill == "mean":
        return encode(tensor_mean(path, entry), entry.dtype)
    if is_bias:
        return b"\x00"
    if not d_out:
        raise UsageError(f"fill 'uniform' needs the output features of {entry.name!r}: use zero.")
    return encode(1.0 / d_out, entry.dtype)


def _decode(raw: bytes, dtype: str) -> NDArray[np.floating]:
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype])
