"""The header of a GGUF file, read strictly: where every tensor lies, and the scalar metadata.

The public `gguf` package gives block sizes and decoding rules; its reader is not used, because it
maps the whole file and builds an object for every token of the vocabulary, and because offsets
from a hostile file need more distrust than reading does.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from talo_export.checkpoint.header import Header, TensorEntry
from talo_export.errors import TaloError

MAX_COUNT = 1 << 24
"""More tensors, fields, or elements of an array than any real file has."""
MAX_TEXT = 1 << 26
MAX_DIMENSIONS = 4
"""GGML_MAX_DIMS."""

Scalar = int | float | bool | str

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
            10: "<Q", 11: "<q", 12: "<d"}  # fmt: skip
"""`gguf_metadata_value_type` to its layout."""


@dataclass(frozen=True)
class GgufHeader:
    """Tensors (shapes as GGML has them, innermost first) and the metadata that is no array."""

    header: Header
    fields: Mapping[str, Scalar]


def read_gguf(path: Path) -> GgufHeader:
    """The header of the GGUF file at `path`. Raises `TaloError` on anything irregular."""
    try:
        with path.open("rb") as file:
            return _parse(_Reader(file, str(path)))
    except OSError as error:
        raise TaloError(f"{path} cannot be read: {error.strerror or error}.") from error


class _Reader:
    """A file read forward, that complains in one sentence when it ends too soon."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file = file
        self.name = name
        self.size = os.fstat(file.fileno()).st_size

    def broken(self, why: str) -> TaloError:
        return TaloError(
            f"{self.name} is not a sound GGUF file: {why}; download it again or take another base."
        )

    def take(self, count: int) -> bytes:
        if count > self.size - self.file.tell():
            raise self.broken("it ends in the middle of its header")
        return self.file.read(count)

    def number(self, layout: str) -> int:
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def count(self, layout: str, most: int, what: str) -> int:
        value = self.number(layout)
        if value > most:
            raise self.broken(f"it claims {value} {what}")
        return value

    def text(self) -> str:
        raw = self.take(self.count("<Q", MAX_TEXT, "characters in a text"))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.broken("a name in its header is not UTF-8 text") from error

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value that is not needed. Its texts may be any bytes, as tokens are."""
        if kind == _STRING:
            self.take(self.count("<Q", MAX_TEXT, "characters in a text"))
        elif kind == _ARRAY and depth < 4:
            inner = self.number("<I")
            count = self.count("<Q", MAX_COUNT, "elements in an array")
            if inner in _SCALARS:
                self.take(count * struct.calcsize(_SCALARS[inner]))
            elif inner == _STRING:
                self.skip_texts(count)
            else:
                for _ in range(count):
                    self.skip(inner, depth + 1)
        elif kind in _SCALARS:
            self.take(struct.calcsize(_SCALARS[kind]))
        else:
            raise self.broken(f"it has a value of the unknown type {kind}")

    def skip_texts(self, count: int) -> None:
        """Pass over a vocabulary: a hundred thousand texts, so the loop is kept lean."""
        read, left = self.file.read, self.size - self.file.tell()
        for _ in range(count):
            length = int.from_bytes(read(8), "little")
            left -= 8 + length
            if left < 0 or length > MAX_TEXT:
                raise self.broken("a text in its header does not fit the file")
            read(length)


def _parse(reader: _Reader) -> GgufHeader:
    if reader.take(4) != b"GGUF":
        raise reader.broken("it does not begin with GGUF")
    version = reader.number("<I")
    if version not in (2, 3):
        raise reader.broken(f"it has version {version}, and only 2 and 3 are known")
    tensor_count = reader.count("<Q", MAX_COUNT, "tensors")
    field_count = reader.count("<Q", MAX_COUNT, "fields")
    fields = _fields(reader, field_count)
    described = [_description(reader) for _ in range(tensor_count)]
    alignment = fields.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment % 8:
        raise reader.broken(f"its alignment {alignment!r} is not a multiple of 8")
    position = reader.file.tell()
    start = position + -position % alignment
    tensors: dict[str, TensorEntry] = {}
    end = start
    for name, kind, shape, offset in sorted(described, key=lambda item: item[3]):
        entry = TensorEntry(name, kind.name, shape, start + offset, _nbytes(reader, kind, shape))
        if name in tensors:
            raise reader.broken(f"the tensor {name!r} appears twice")
        if entry.offset < end or offset % alignment:
            raise reader.broken(f"tensor {name!r} overlaps the one before it or is not aligned")
        if entry.end > reader.size:
            raise reader.broken(f"tensor {name!r} lies outside the file")
        tensors[name] = entry
        end = entry.end
    return GgufHeader(Header(tensors, {}, start, reader.size), fields)


def _fields(reader: _Reader, count: int) -> dict[str, Scalar]:
    fields: dict[str, Scalar] = {}
    seen: set[str] = set()
    for _ in range(count):
        key = reader.text()
        if key in seen:
            raise reader.broken(f"the field {key!r} appears twice")
        seen.add(key)
        kind = reader.number("<I")
        if kind in _SCALARS:
            fields[key] = reader.number(_SCALARS[kind])
        elif kind == _STRING and key.startswith("general."):
            fields[key] = reader.text()
        else:
            reader.skip(kind)
    return fields


def _description(reader: _Reader) -> tuple[str, GGMLQuantizationType, tuple[int, ...], int]:
    name = reader.text()
    dimensions = reader.count("<I", MAX_DIMENSIONS, "dimensions of a tensor")
    shape = tuple(reader.number("<Q") for _ in range(dimensions))
    code = reader.number("<I")
    offset = reader.number("<Q")
    try:
        return name, GGMLQuantizationType(code), shape, offset
    except ValueError as error:
        raise reader.broken(f"tensor {name!r} has the unknown type {code}") from error


def _nbytes(reader: _Reader, kind: GGMLQuantizationType, shape: tuple[int, ...]) -> int:
    block, size = GGML_QUANT_SIZES[kind]
    elements = 1
    for length in shape:
        elements *= length
        if elements > 256 * reader.size:
            raise reader.broken("a tensor is larger than the file")
    if shape and shape[0] % block:
        raise reader.broken(f"a row of {shape[0]} elements is not whole blocks of {kind.name}")
    return elements // block * size
