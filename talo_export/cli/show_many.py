"""The results of many probes, for a person: one line a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"confirmed": "green", "harmful": "red"}


def show_many(document: dict[str, Any], to: Console) -> None:
    """Print the table of `probe --task 'PATTERN'`."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("task", overflow="fold")
    for name in ("items", "base", "layer", "probe", "confirmed on", "gain", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in document["tasks"]:
        chosen = row["layer"] is not None
        table.add_row(
            row["task"],
            f"{row['items']:,}",
            f"{row['base_accuracy']:.1%}",
            str(row["layer"]) if chosen else "-",
            _points(row["probe_gain"]),
            str(row["confirm_n"]) if chosen else "-",
            _points(row["gain"]),
            f"{_points(row['ci_low'])} to {_points(row['ci_high'])}" if chosen else "-",
            Text(row["verdict"] or "not asked", style=_COLOURS.get(row["verdict"], "")),
        )
    to.print(table)
    to.print(many_summary(document), highlight=False)
    for failure in document["failed"]:
        to.print(Text(f"failed: {failure['task']}: {failure['error']}", style="red"))
    if document["table"]:
        to.print(f"table: {document['table']}", style="dim", highlight=False)


def many_summary(document: dict[str, Any]) -> str:
    """One sentence: how many of each verdict."""
    verdicts = [row["verdict"] for row in document["tasks"]]
    counted = ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(filter(None, verdicts))
    )
    failed = f", {len(document['failed'])} failed" if document["failed"] else ""
    return f"{len(verdicts)} tasks: {counted or 'nothing selected'}{failed}"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"
