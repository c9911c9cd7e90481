"""A comparison, for a person: cells as they end, the table, who wins, and predicted memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from talo_export.cli.output import Sink
from talo_export.wording import percent, size

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.baselines.runner import CellsDone
    from talo_export.baselines.summary import Row
    from talo_export.commands.compare import Estimate
    from talo_export.runs.comparison import Comparison


class CellProgress:
    """Says which cell ended, how it ended, and how much time the others will take."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._started = time.monotonic()

    def __call__(self, event: CellsDone) -> None:
        """Hear of a cell."""
        if event.latest is None or event.result is None:
            if event.resumed:
                self._sink.note(f"{event.resumed} of {event.total} cells are there already")
            return
        cell, result = event.latest, event.result
        said = result.status if result.accuracy is None else percent(result.accuracy)
        new = event.done - event.resumed
        left = (time.monotonic() - self._started) / new * (event.total - event.done)
        self._sink.note(
            f"{event.done}/{event.total} {cell.method}, {cell.shots} shots, seed {cell.seed}: "
            f"{said}{'' if not result.reason else f' ({result.reason})'}"
            f"{f', {left / 60:.0f} min left' if event.done < event.total else ''}"
        )


def show_compare(comparison: Comparison, to: Console) -> None:
    """The table, then what it says."""
    from rich.table import Table

    to.print(
        f"{comparison.model} on {comparison.task}, {comparison.test_n} test items a seed, "
        f"scored by {comparison.scoring}, chance {percent(comparison.chance, 0)}",
    )
    columns = [column for column in COLUMNS if to.width >= column.from_width]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for column in columns:
        right = "left" if column.name == "method" else "right"
        table.add_column(column.name, justify=right, no_wrap=True)  # type: ignore[arg-type]
    for row in comparison.methods:
        table.add_row(*(column.says(row) for column in columns))
    to.print(table)
    for row in comparison.methods:
        if row.not_done is not None:
            why = " ".join(row.reasons or ())
            to.print(
                f"{row.method}, {row.shots} shots: {row.not_done}: {why}",
                style="dim",
            )
        for note in row.notes:
            to.print(f"{row.method}, {row.shots} shots: {note}", style="dim")
    for sentence in comparison.kept.sentences:
        to.print(sentence)
    to.print(
        "accuracy: mean and standard deviation over seeds; gain: over the base, in points, paired "
        "by item; memory: largest peak above the interpreter, or of the device; seconds and "
        "passes (forward + backward): to adapt, not to test; ships: bytes beside the base; "
        "slower: to answer, against the base. The most accurate method is picked on the items "
        "it is judged by, which flatters its lead. The CSV has every column.",
        style="dim",
    )
    to.print(f"{comparison.csv}  {comparison.figure or ''}", style="dim")


def show_estimate(estimate: Estimate, to: Console) -> None:
    """Predicted memory, one column a batch."""
    from rich.table import Table

    prints = estimate.footprints
    first = prints[0]
    bits = ", decoder in NF4" if first.four_bit else ""
    to.print(
        f"{estimate.model}: {_in_words(first.parameters)} parameters, "
        f"{first.dtype}{bits}, {first.tokens} tokens; predicted, nothing was run",
    )
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("")
    for one in prints:
        table.add_column(f"{one.batch} a pass", justify="right")
    for name, said in (
        ("inference", "inference"),
        ("probing", "knockout probing"),
        ("training", f"training {first.adapter}"),
        ("weights", "  weights"),
        ("activations", "  kept activations"),
        ("gradients", "  gradients"),
        ("optimizer", "  optimizer"),
    ):
        table.add_row(said, *(_size(getattr(one, name)) for one in prints))
    to.print(table)


def _in_words(count: int) -> str:
    return f"{count / 1e9:.2f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"


def _size(n_bytes: int | None) -> str:
    return "" if n_bytes is None else size(n_bytes)


def _accuracy(row: Row) -> str:
    if row.accuracy is None:
        return str(row.not_done)
    spread = "" if row.accuracy_sd is None else f" ±{100 * row.accuracy_sd:.1f}"
    return f"{100 * row.accuracy:.1f}{spread}"


def _interval(row: Row) -> str:
    if row.gain_ci95 is None:
        return ""
    low, high = row.gain_ci95
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def _passes(row: Row) -> str:
    return f"{row.forward_passes:,} + {row.backward_passes:,}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: shown on terminals of at least `from_width` characters."""

    name: str
    says: Callable[[Row], str]
    from_width: int = 0


COLUMNS = (
    Column("method", lambda row: str(row.method)),
    Column("shots", lambda row: str(row.shots or "")),
    Column("seeds", lambda row: str(row.seeds), 110),
    Column("accuracy %", _accuracy),
    Column("gain", lambda row: "" if row.gain is None else f"{100 * row.gain:+.1f}"),
    Column("95 % interval", _interval),
    Column("memory", lambda row: _size(row.peak_memory_bytes)),
    Column("seconds", lambda row: "" if row.seconds is None else f"{row.seconds:.1f}"),
    Column("passes", _passes, 134),
    Column("trained", lambda row: f"{row.trainable_parameters:,}", 110),
    Column("ships", lambda row: _size(row.artifact_bytes), 110),
    Column(
        "slower",
        lambda row: "" if row.inference_overhead is None else f"{row.inference_overhead:+.0%}",
        110,
    ),
)
