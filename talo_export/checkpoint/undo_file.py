"""`talo_export_undo.safetensors`: the original bytes of every tensor an export overwrote.

A plain safetensors file, so that any tool reads it. Its tensors are named `FILE:TENSOR`, not as in
the model: an engine that loads every safetensors file of a directory then stops at an unknown
name, where the original names would silently undo the knockout.
"""

from __future__ import annotations

import os
from pathlib import Path

from talo_export.checkpoint.header import DTYPE_BITS, header_bytes
from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.plan import Edit, EditPlan
from talo_export.checkpoint.ranges import chunks

__all__ = ["UNDO_FILE", "undo_name", "write_undo_file"]


def undo_name(edit: Edit) -> str:
    """The name of an edit's original tensor in the undo file."""
    return f"{edit.file}:{edit.tensor}"


def write_undo_file(plan: EditPlan, path: Path) -> None:
    """Write the tensors that `plan` overwrites, as they are in the base, to the new file `path`."""
    sources = {file.name: file for file in plan.files}
    with path.open("xb") as writer:
        writer.write(header_bytes(map(_original, plan.edits)))
        for edit in plan.edits:
            with sources[edit.file].opened() as reader:
                for _, chunk in chunks(reader, edit.offset, edit.nbytes):
                    writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())


def _original(edit: Edit) -> tuple[str, str, tuple[int, ...], int]:
    """Name, dtype, shape and bytes. A GGML block type has no name in safetensors: plain bytes."""
    known = edit.dtype in DTYPE_BITS
    shape = edit.shape if known else (edit.nbytes,)
    return undo_name(edit), edit.dtype if known else "U8", shape, edit.nbytes
