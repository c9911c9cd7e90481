"""The base back from an export."""

from __future__ import annotations

from collections.abc import Callable

from talo_export.checkpoint.manifest import read_manifest
from talo_export.checkpoint.undo import UndoReport, undo_export
from talo_export.checkpoint.undo_file import UNDO_FILE
from talo_export.commands.verify import base_reference
from talo_export.models.reference import resolve
from talo_export.requests.checkpoints import UndoRequest


def run_undo(
    request: UndoRequest, progress: Callable[[int, int], None] | None = None
) -> UndoReport:
    """Rebuild it from the base that was named, the export's undo file, or its manifest's base.

    `progress` is called with the bytes copied so far and the bytes to copy.
    """
    directory, base = request.directory, request.base
    if base is None and (directory / UNDO_FILE).is_file():
        origin = None
    else:
        origin = resolve(base or base_reference(read_manifest(directory))).place
    return undo_export(directory, request.out, base=origin, progress=progress)
