"""A verification, for a person: one line a check, then the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 4
"""Names given of a list: as many as an attention has projections."""


def show_verify(document: dict[str, Any], to: Console) -> None:
    """Print the document of `verify --json`."""
    from rich.text import Text

    for name in ("files", "tensors", "load", "logits"):
        found = document[name]
        words = ", ".join(_words(key.replace("_", " "), value) for key, value in found.items())
        to.print(Text(f"{name:<8}", style="dim"), Text(words), sep="")
    for problem in document["problems"]:
        to.print(Text(f"problem: {problem}", style="red"))
    good = document["ok"]
    to.print(Text("ok" if good else "not ok", style="green" if good else "bold red"))


def _words(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"not {key}"
    return f"{_show(value)} {key}"


def _show(value: Any) -> str:
    if isinstance(value, list):
        more = ", ..." if len(value) > SHOWN else ""
        return "no" if not value else f"{len(value)} ({', '.join(map(str, value[:SHOWN]))}{more})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
