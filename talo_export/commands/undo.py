"""The base back from an export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.checkpoint.manifest import read_manifest
from talo_export.checkpoint.undo import UndoReport, undo_export
from talo_export.checkpoint.undo_file import UNDO_FILE
from talo_export.models.reference import resolve
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import UndoRequest
from talo_export.runs.loading import base_reference

if TYPE_CHECKING:
    from rich.console import Console


def run(request: UndoRequest, reporter: Reporter = SILENT) -> UndoReport:
    """Rebuild it from the base that was named, the export's undo file, or its manifest's base."""
    directory, base = request.directory, request.base
    if base is None and (directory / UNDO_FILE).is_file():
        origin = None
    else:
        origin = resolve(base or base_reference(read_manifest(directory))).place
    return undo_export(directory, request.out, base=origin, reporter=reporter)


def summary(report: UndoReport) -> str:
    """The one sentence that `--quiet` prints."""
    return str(report.out)


def show(report: UndoReport, to: Console) -> None:
    """What was restored."""
    to.print(
        f"wrote {report.out}: {report.files} files, {len(report.restored)} "
        f"tensors restored, {report.checked} recorded hashes met"
    )
