"""The base back from an export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from talo_export.checkpoint.manifest import read_manifest
from talo_export.checkpoint.undo import UndoReport, undo_export
from talo_export.checkpoint.undo_file import UNDO_FILE
from talo_export.jobs.verify import base_reference
from talo_export.models.reference import resolve


def run_undo(
    directory: Path,
    out: Path,
    *,
    base: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> UndoReport:
    """Rebuild it as `out`, from `base`, the export's own undo file, or the base it names.

    `progress` is called with the bytes copied so far and the bytes to copy.
    """
    if base is None and (directory / UNDO_FILE).is_file():
        origin = None
    else:
        origin = resolve(base or base_reference(read_manifest(directory))).place
    return undo_export(directory, out, base=origin, progress=progress)
