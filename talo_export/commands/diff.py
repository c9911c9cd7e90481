"""Which tensors of two checkpoints differ."""

from __future__ import annotations

from talo_export.checkpoint.diff import CheckpointDiff, diff_checkpoints
from talo_export.checkpoint.writer import Progress
from talo_export.models.reference import resolve
from talo_export.requests.checkpoints import DiffRequest


def run_diff(request: DiffRequest, progress: Progress | None = None) -> CheckpointDiff:
    """Compare them; `progress` is called with the bytes compared so far and those in all."""
    return diff_checkpoints(resolve(request.a).place, resolve(request.b).place, progress)
