"""`talo-export diff`: which tensors of two checkpoints differ, for any two."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from talo_export.checkpoint.diff import CheckpointDiff, TensorDifference, diff_checkpoints
from talo_export.commands.tables import table_of
from talo_export.models.reference import resolve
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import DiffRequest
from talo_export.wording import count, percent

if TYPE_CHECKING:
    from rich.console import Console


def run(request: DiffRequest, reporter: Reporter = SILENT) -> CheckpointDiff:
    """Compare them tensor by tensor."""
    return diff_checkpoints(resolve(request.a).place, resolve(request.b).place, reporter)


def summary(found: CheckpointDiff) -> str:
    """The one sentence that `--quiet` prints."""
    tensors = count(len(found.differences), "tensor differs", "tensors differ")
    return f"{tensors}, {found.identical:,} are identical"


def show(found: CheckpointDiff, to: Console) -> None:
    """One line a module that differs."""
    table = table_of("stack", ">layer", "module", "tensors", "difference")
    for (stack, layer, module), rows in found.by_module().items():
        what = dict.fromkeys(_words(row) for row in rows)
        table.add_row(
            stack,
            "" if layer < 0 else str(layer),
            module,
            ", ".join(row.tensor.rsplit(".", 1)[-1] for row in rows),
            ", ".join(what),
        )
    if found.differences:
        to.print(table)
    to.print(summary(found))


def _words(difference: TensorDifference) -> str:
    if difference.zero_in_a or difference.zero_in_b:
        return f"zero in {'B' if difference.zero_in_b else 'A'}"
    if difference.zeroed_in_a or difference.zeroed_in_b:
        zeroed, where = max((difference.zeroed_in_b, "B"), (difference.zeroed_in_a, "A"))
        share = percent(zeroed / max(1, math.prod(difference.shape)))
        return f"{share} of it zero in {where}"
    return difference.change
