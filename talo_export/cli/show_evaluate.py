"""An evaluation, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show_evaluate(document: dict[str, Any], to: Console) -> None:
    """Accuracy with its interval, beside chance, and how many answers could not be read."""
    low, high = document["ci95"]
    to.print(
        f"{document['model']} on {document['task']}: {document['accuracy']:.1%} of "
        f"{document['n']} items (95 % interval {low:.1%} to {high:.1%}, chance "
        f"{document['chance']:.0%}), scored by {document['scoring']}",
        highlight=False,
    )
    if document["unparsed"]:
        to.print(f"{document['unparsed']} answers could not be read and count as wrong")
