"""The header of a GGUF file: where every tensor lies, and the metadata that is no array.

It is read by the public `gguf` package, an extra. That takes a slice beyond the end of a file for
an empty one and believes every count, so what it reads is bounded here, and the offsets it gives
are held against each other: one that lies would make the writer overwrite another tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talo_export.checkpoint.header import Header, TensorEntry
from talo_export.errors import TaloError
from talo_export.models.reference import NO_GGUF

try:
    from gguf.constants import GGML_QUANT_SIZES, GGUFValueType
    from gguf.gguf_reader import GGUFReader
except ModuleNotFoundError as missing:
    raise TaloError(NO_GGUF) from missing

MAX_WORK = 1 << 21
"""More than the header of any real file costs, at 1 for a text that is passed over, of which a
vocabulary has up to half a million, and `READ` for what the library reads and keeps."""
READ = 16
MAX_TEXT = 1 << 26
MAX_DIMENSIONS = 4
"""GGML_MAX_DIMS."""


@dataclass(frozen=True)
class GgufHeader:
    """Tensors (shapes as GGML has them, innermost first) and the metadata that is no array."""

    header: Header
    fields: Mapping[str, int | float | bool | str]


def read_gguf(path: Path) -> GgufHeader:
    """The header of the GGUF file at `path`. Raises `TaloError` on anything irregular."""
    try:
        # An offset near 2**64 wraps around, to a place that is refused below.
        with np.errstate(over="ignore"):
            reader = _Reader(path)
        return GgufHeader(_header(reader, path.stat().st_size), _fields(reader))
    except OSError as error:
        raise TaloError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        raise TaloError(
            f"{path} is not a sound GGUF file: {error.args[0]!s:.200}; download it again or take "
            "another base."
        ) from error


class _Reader(GGUFReader):
    """The library's reader within bounds; arrays, which nobody asks for here, are passed over."""

    data: Any
    left = MAX_WORK

    def _get(self, offset: int, dtype: Any, count: int = 1, **order: Any) -> np.ndarray:
        self._spend(READ)
        # Of a mapped file each slice would be an object ten times as large and slow.
        self.data = self.data.view(np.ndarray)
        in_header = not hasattr(self, "data_offset")
        if in_header and count > (MAX_TEXT if dtype is np.uint8 else MAX_DIMENSIONS):
            raise ValueError(f"its header claims {count} values in a row")
        self._check_end(offset + int(count) * np.dtype(dtype).itemsize)
        return super()._get(offset, dtype, count, **order)

    def _get_field_parts(
        self, orig_offs: int, raw_type: int
    ) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        kind = GGUFValueType(self._get(orig_offs, np.uint32)[0])
        count = int(self._get(orig_offs + 4, np.uint64)[0])
        end = orig_offs + 12
        if kind in self.gguf_scalar_to_np:
            end += count * np.dtype(self.gguf_scalar_to_np[kind]).itemsize
        elif kind == GGUFValueType.STRING:
            self._spend(count)
            for _ in range(count):
                end += 8 + int.from_bytes(self.data[end : end + 8].tobytes(), "little")
        else:
            for _ in range(count):
                end += self._get_field_parts(end, kind)[0]
        self._check_end(end)
        return end - orig_offs, [], [], [GGUFValueType.ARRAY]

    def _check_end(self, end: int) -> None:
        if end > self.data.nbytes:
            raise ValueError("its header or a tensor goes on beyond the end of the file")

    def _spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise ValueError("its header is longer than any model's")


def _fields(reader: _Reader) -> dict[str, Any]:
    return {
        name: field.contents()
        for name, field in reader.fields.items()
        # Other texts may be any bytes, as tokens are.
        if field.types[0] not in (GGUFValueType.ARRAY, GGUFValueType.STRING)
        or name == "general.architecture"
    }


def _header(reader: _Reader, file_bytes: int) -> Header:
    """Raises ValueError where tensors overlap, or are not of their shape's size."""
    if reader.byte_order != "I":
        raise ValueError("its numbers are big endian")
    tensors: dict[str, TensorEntry] = {}
    end = reader.data_offset
    for tensor in sorted(reader.tensors, key=lambda tensor: tensor.data_offset):
        shape = tuple(int(length) for length in tensor.shape)
        block, size = GGML_QUANT_SIZES[tensor.tensor_type]
        nbytes = math.prod(shape) // block * size
        if shape and shape[0] % block:
            raise ValueError(f"a row of {tensor.name!r} is not whole blocks")
        if tensor.data_offset < end or (tensor.data_offset - reader.data_offset) % reader.alignment:
            raise ValueError(f"tensor {tensor.name!r} overlaps the one before it or is not aligned")
        if nbytes != tensor.n_bytes:
            raise ValueError(f"tensor {tensor.name!r} is larger than the file")
        tensors[tensor.name] = TensorEntry(
            tensor.name, tensor.tensor_type.name, shape, tensor.data_offset, nbytes
        )
        end = tensor.data_offset + nbytes
    return Header(tensors, {}, reader.data_offset, file_bytes)
