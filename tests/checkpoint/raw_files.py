"""Safetensors files written byte by byte, so that tests can make them lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def raw_file(path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    """Write a file with any header (an object, or its very bytes) and any claimed length."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(raw) if length is None else length
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(size.to_bytes(8, "little") + raw + data)
    return path


def tensor(
    begin: int, end: int, shape: list[Any] | None = None, dtype: str = "U8"
) -> dict[str, Any]:
    """A header's entry."""
    return {"dtype": dtype, "shape": shape or [end - begin], "data_offsets": [begin, end]}
