"""The results of many probes, for a person: one line a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 4
"""Tasks named in a failure that struck several."""

_COLOURS = {"confirmed": "green", "harmful": "red"}


def show_many(document: dict[str, Any], to: Console) -> None:
    """Print the table of `probe --task 'PATTERN'`."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("task", overflow="fold")
    for name in ("items", "base", "best layer", "probe gain", "confirmed gain"):
        table.add_column(name, justify="right")
    table.add_column("verdict", overflow="fold")
    for row in document["tasks"]:
        chosen = row["layer"] is not None
        layer, gain = (
            (f"{row['layer']}", _points(row["probe_gain"]))
            if chosen
            else (f"({_or_dash(row['best_layer'])})", f"({_points(row['best_probe_gain'])})")
        )
        table.add_row(
            row["task"],
            f"{row['items']:,}",
            f"{row['base_accuracy']:.1%}",
            layer,
            gain,
            f"{_points(row['gain'])} [{_points(row['ci_low'])}, {_points(row['ci_high'])}]"
            if chosen and row["gain"] is not None
            else "-",
            Text(row["verdict"] or "not asked", style=_COLOURS.get(row["verdict"], "")),
        )
    to.print(table)
    to.print(
        "gains in points of accuracy, with 95 % intervals on items never probed; in parentheses "
        "what led the probe where the base was kept",
        style="dim",
        highlight=False,
    )
    to.print(many_summary(document), highlight=False)
    if document["discoveries"]:
        to.print(document["discoveries"]["sentence"], highlight=False)
    show_failures(document["failed"], to)
    to.print(f"wrote {document['table']} and {document['table_json']}", highlight=False)
    if document["failures"]:
        to.print(f"tracebacks of what nobody foresaw: {document['failures']}", highlight=False)


def show_failures(failed: Sequence[dict[str, str]], to: Console) -> None:
    """Each failure's sentence once, with the tasks it struck."""
    from rich.text import Text

    by_error: dict[str, list[str]] = {}
    for failure in failed:
        by_error.setdefault(failure["error"], []).append(failure["task"])
    for error, tasks in by_error.items():
        more = f" and {len(tasks) - SHOWN} more" if len(tasks) > SHOWN else ""
        to.print(Text(f"failed: {', '.join(tasks[:SHOWN])}{more}: {error}", style="red"))


def many_summary(document: dict[str, Any]) -> str:
    """One sentence: how many of each verdict."""
    verdicts = [row["verdict"] for row in document["tasks"]]
    counted = ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(filter(None, verdicts))
    )
    failed = f", {len(document['failed'])} failed" if document["failed"] else ""
    noun = "task" if len(verdicts) == 1 else "tasks"
    return f"{len(verdicts)} {noun}: {counted or 'nothing selected'}{failed}"


def _or_dash(layer: int | None) -> str:
    return "-" if layer is None else str(layer)


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"
