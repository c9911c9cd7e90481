"""The header of a safetensors file, read strictly and without the library.

A safetensors file is eight bytes (the header's length, little endian), the header (a JSON object:
tensor name -> dtype, shape, begin and end within the data) and the data. Editing byte ranges in
place asks for absolute offsets, which the library does not give, and for more distrust than
loading does: everything here that is not exactly the published format is refused, because an
offset that lies would make the writer overwrite another tensor.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from talo_export.errors import TaloError

DTYPE_BITS: Mapping[str, int] = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Bits of one element, for every dtype the safetensors format knows."""

MAX_HEADER_BYTES = 25_000_000
"""A quarter of the library's own limit: some 250,000 tensors, as many as the largest models have in
all their files together, read in seconds."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies: `nbytes` bytes from the absolute `offset` in its file."""

    name: str
    dtype: str
    """As the header spells it: `BF16`, `F8_E4M3`, `U8`, ..."""
    shape: tuple[int, ...]
    offset: int
    nbytes: int

    @property
    def end(self) -> int:
        """The first byte after the tensor."""
        return self.offset + self.nbytes

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """All that a safetensors file says about itself."""

    tensors: Mapping[str, TensorEntry]
    """By name, in the order of their data."""
    metadata: Mapping[str, str]
    """The `__metadata__` entry, usually `{"format": "pt"}`."""
    data_start: int
    """Absolute offset of the first data byte."""
    file_bytes: int


def read_header(path: Path) -> Header:
    """The header of the safetensors file at `path`. Raises `TaloError` on anything irregular."""
    try:
        with path.open("rb") as file:
            return parse_header(file, str(path))
    except OSError as error:
        raise TaloError(f"{path} cannot be read: {error.strerror or error}.") from error


def parse_header(file: BinaryIO, name: str) -> Header:
    """Read and validate the header of an open file; `name` is what an error calls it."""
    file_bytes = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if len(prefix) < 8:
        raise _broken(name, f"it has {file_bytes} bytes, too few for a header")
    if prefix == b"version ":
        raise TaloError(f"{name} is a Git LFS pointer, not the file: run `git lfs pull` there.")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        raise _broken(name, f"its header claims {length} bytes, more than any model's")
    if 8 + length > file_bytes:
        raise _broken(name, f"its header claims {length} bytes but the file has {file_bytes}")
    raw = file.read(length)
    fields = _parse_json(raw, name)
    metadata = _metadata(fields.pop("__metadata__", {}), name)
    data_start = 8 + length
    entries = [_entry(key, value, data_start, file_bytes, name) for key, value in fields.items()]
    entries.sort(key=lambda entry: (entry.offset, entry.end))
    _check_tiling(entries, data_start, file_bytes, name)
    return Header({entry.name: entry for entry in entries}, metadata, data_start, file_bytes)


def header_bytes(tensors: Iterable[tuple[str, str, Sequence[int], int]]) -> bytes:
    """What a file of these tensors begins with: (name, dtype, shape, bytes), as their data lie."""
    fields: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, dtype, shape, nbytes in tensors:
        offsets = [position, position + nbytes]
        fields[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        position += nbytes
    raw = json.dumps(fields, ensure_ascii=False).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw


def _parse_json(raw: bytes, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise _broken(name, "its header is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise _broken(name, f"its header is not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise _broken(name, "its header is not a JSON object")
    return fields


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r} appears twice")
            seen.add(key)
    return fields


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _metadata(value: Any, name: str) -> dict[str, str]:
    if value is None:
        raise _broken(name, "its __metadata__ is null, not a map of texts")
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _broken(name, "its __metadata__ is not a map of texts")
    return value


def _entry(key: str, value: Any, data_start: int, file_bytes: int, name: str) -> TensorEntry:
    try:
        key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _broken(name, f"the tensor name {key!r} is not valid Unicode") from error
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _broken(name, f"tensor {key!r} does not have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _broken(name, f"tensor {key!r} has the unknown dtype {dtype!r}")
    if not isinstance(shape, list) or not all(_is_count(size) for size in shape):
        raise _broken(name, f"tensor {key!r} has a shape that is not a list of counts")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise _broken(name, f"tensor {key!r} has data_offsets that are not two counts")
    begin, end = offsets
    if begin > end or data_start + end > file_bytes:
        raise _broken(name, f"tensor {key!r} lies outside the file")
    if _bits(shape, DTYPE_BITS[dtype], file_bytes) != 8 * (end - begin):
        raise _broken(name, f"tensor {key!r} has {end - begin} bytes, not what its shape asks for")
    return TensorEntry(key, dtype, tuple(shape), data_start + begin, end - begin)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _bits(shape: list[int], bits: int, file_bytes: int) -> int:
    """Bits of a tensor, or -1 as soon as they exceed the file (a hostile shape may be long)."""
    if 0 in shape:
        return 0
    for size in shape:
        bits *= size
        if bits > 8 * file_bytes:
            return -1
    return bits


def _check_tiling(entries: list[TensorEntry], start: int, file_bytes: int, name: str) -> None:
    """The tensors follow each other without a gap or an overlap, up to the end of the file."""
    position = start
    for entry in entries:
        if entry.offset < position:
            raise _broken(name, f"tensor {entry.name!r} overlaps the one before it")
        if entry.offset > position:
            raise _broken(name, f"there is a hole before tensor {entry.name!r}")
        position = entry.end
    if position != file_bytes:
        raise _broken(name, f"{file_bytes - position} bytes after the last tensor belong to none")


def _broken(name: str, why: str) -> TaloError:
    return TaloError(
        f"{name} is not a sound safetensors file: {why}; download it again or take another base."
    )
