"""An evaluation, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from talo_export.wording import percent

if TYPE_CHECKING:
    from rich.console import Console


def show_evaluate(document: dict[str, Any], to: Console) -> None:
    """Accuracy with its interval, beside chance, and how many answers could not be read."""
    low, high = document["ci95"]
    to.print(
        f"{document['model']} on {document['task']}: {percent(document['accuracy'])} of "
        f"{document['n']} items (95 % interval {percent(low)} to {percent(high)}, chance "
        f"{percent(document['chance'], 0)}), scored by {document['scoring']}",
        highlight=False,
    )
    if document["too_long"]:
        to.print(f"{len(document['too_long'])} items longer than the context were left out")
    if document["unparsed"]:
        to.print(f"{document['unparsed']} answers could not be read and count as wrong")
    for words in averages_words(document["averages"]):
        to.print(words, highlight=False)


def averages_words(averages: dict[str, Any]) -> list[str]:
    """The averages other than the one over items, a sentence each, by their names."""
    said = []
    categories = averages["by_category"]
    if len(categories) > 1:
        said.append(
            f"macro average over {len(categories)} categories {percent(averages['macro'])}, "
            f"micro average over items {percent(averages['micro'])}"
        )
        said += [f"  {name}: {percent(share)}" for name, share in categories.items()]
    if averages["unit"] is not None:
        said.append(
            f"{percent(averages['unit'])} of {averages['units']} questions are right in every way "
            "they are asked (circular accuracy, for rotated choices)"
        )
    return said


def show_evaluations(document: dict[str, Any], to: Console) -> None:
    """Print the table of `evaluate --task 'PATTERN'`."""
    from rich.table import Table

    from talo_export.cli.show_many import show_failures

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("task", overflow="fold")
    for name in ("items", "accuracy", "95 % interval", "chance", "unread"):
        table.add_column(name, justify="right")
    for row in document["tasks"]:
        low, high = row["ci95"]
        table.add_row(
            row["task"],
            f"{row['n']:,}",
            percent(row["accuracy"]),
            f"{percent(low)} to {percent(high)}",
            percent(row["chance"], 0),
            str(row["unparsed"]),
        )
    to.print(table)
    to.print(evaluations_summary(document), highlight=False)
    show_failures(document["failed"], to)


def evaluations_summary(document: dict[str, Any]) -> str:
    """One sentence: the averages by their names, and how many tasks failed."""
    failed = f"; {len(document['failed'])} failed" if document["failed"] else ""
    if document["macro"] is None:
        return f"no task could be evaluated{failed}"
    items = sum(row["n"] for row in document["tasks"])
    return (
        f"macro average over {len(document['tasks'])} tasks {percent(document['macro'])}, "
        f"micro average over {items:,} items {percent(document['micro'])}{failed}"
    )
