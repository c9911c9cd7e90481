"""A verification, for a person: one line a check, then the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.commands.verify import VerifyResult

SHOWN = 4
"""Names given of a list: as many as an attention has projections."""


def show_verify(result: VerifyResult, to: Console) -> None:
    """Files, tensors, loading, logits; what is wrong; the verdict."""
    from rich.text import Text

    def row(name: str, words: str) -> None:
        to.print(Text(f"{name:<8}", style="dim"), words, sep="")

    files, tensors = result.files, result.tensors
    row("files", _lists(
        ("identical", files.identical), ("edited", files.edited), ("missing", files.missing),
        ("not planned", files.extra), ("changed", files.wrong),
        ("without a hash to compare with", files.unchecked),
        ("of another base", files.other_base),
    ))  # fmt: skip
    others = _lists(("filled as planned", tensors.filled), ("neither", tensors.other))
    row("tensors", f"{tensors.identical} identical to the base's, {others}")
    if result.load is not None:
        load = result.load
        keys = _lists(
            ("missing", load.missing_keys),
            ("unexpected", load.unexpected_keys),
            ("mismatched", load.mismatched_keys),
        )
        same = "" if load.as_base else ", not as the base loads"
        row("load", f"{keys or 'every key fits'}{same}")
    if result.logits is not None:
        row(
            "logits",
            f"{_number(result.logits.max_abs_difference_to_knockout)} from the live knockout's, "
            f"{_number(result.logits.max_abs_difference_to_base)} from the base's",
        )
    for problem in result.problems:
        to.print(f"problem: {problem}", style="red")
    to.print(summary(result), style="green" if result.ok else "bold red")


def summary(result: VerifyResult) -> str:
    """The one sentence that `--quiet` prints."""
    if result.ok:
        return "all as planned"
    return f"not as planned: {count(len(result.problems), 'problem')}"


def _lists(*kinds: tuple[str, Sequence[str]]) -> str:
    """Each kind that has members: how many, what, and the first names."""
    return ", ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds if names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _number(value: float) -> str:
    return f"{value:.3g}"
