"""`talo-export diff`: which tensors of two checkpoints differ, for any two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.checkpoints import DiffRequest
from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.checkpoint.diff import CheckpointDiff, TensorDifference


@command(DiffRequest)
def diff(request: DiffRequest, sink: Sink) -> None:
    from talo_export.cli.copy_progress import copy_progress
    from talo_export.commands.diff import run_diff

    with copy_progress(sink, "comparing") as progress:
        result = run_diff(request, progress)
    sink.result(result, summary=summary(result), show=lambda to: show_diff(result, to))


def summary(found: CheckpointDiff) -> str:
    """The one sentence that `--quiet` prints."""
    tensors = count(len(found.differences), "tensor differs", "tensors differ")
    return f"{tensors}, {found.identical:,} are identical"


def show_diff(found: CheckpointDiff, to: Console) -> None:
    """One line a module that differs."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("stack", overflow="fold")
    table.add_column("layer", justify="right")
    for name in ("module", "tensors", "difference"):
        table.add_column(name, overflow="fold")
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
    return difference.change
