"""`talo_export_undo.safetensors`: the original bytes of every tensor an export overwrote.

A plain safetensors file, so that any tool reads it. Its tensors are named `FILE:TENSOR`, not as in
the model: an engine that loads every safetensors file of a directory then stops at an unknown
name, where the original names would silently undo the knockout.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from talo_export.checkpoint.header import DTYPE_BITS
from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.plan import Edit, EditPlan

CHUNK_BYTES = 4 << 20

__all__ = ["UNDO_FILE", "undo_name", "write_undo_file"]


def undo_name(edit: Edit) -> str:
    """The name of an edit's original tensor in the undo file."""
    return f"{edit.file}:{edit.tensor}"


def write_undo_file(plan: EditPlan, path: Path) -> None:
    """Write the tensors that `plan` overwrites, as they are in the base, to the new file `path`."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for edit in plan.edits:
        # A GGML block type has no name in safetensors: its bytes are kept as bytes.
        known = edit.dtype in DTYPE_BITS
        header[undo_name(edit)] = {
            "dtype": edit.dtype if known else "U8",
            "shape": list(edit.shape) if known else [edit.nbytes],
            "data_offsets": [position, position + edit.nbytes],
        }
        position += edit.nbytes
    raw = json.dumps(header, ensure_ascii=False).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    sources = {file.name: file for file in plan.files}
    with path.open("xb") as writer:
        writer.write(len(raw).to_bytes(8, "little") + raw)
        for edit in plan.edits:
            with sources[edit.file].opened() as reader:
                reader.seek(edit.offset)
                left = edit.nbytes
                while left:
                    chunk = reader.read(min(left, CHUNK_BYTES))
                    if not chunk:
                        raise OSError(f"{edit.file} became shorter while it was read")
                    writer.write(chunk)
                    left -= len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
