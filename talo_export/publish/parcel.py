"""What a push sends: files set out in a folder as the repository will hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from talo_export.publish.base_card import BaseCard

Document = Mapping[str, object]


@dataclass(frozen=True)
class Parcel:
    """Files below `folder`, and what has to be known about them before they are sent."""

    folder: Path
    files: dict[str, int]
    """Path in the repository -> bytes."""
    base: BaseCard
    carries_weights: bool
    """Whether these are the base's weights, whose terms may not allow passing them on."""
    title: str
    """Of the commit."""
    snippet: str
    """What a user pastes to load it, printed when all is done."""
    marker: str
    """The JSON file that tells what a repository holds."""
    same: Callable[[Document, Document], bool]
    """Whether a repository's marker (first) is of an earlier push of this parcel (second)."""
    warnings: tuple[str, ...] = ()


def files_below(folder: Path) -> dict[str, int]:
    """Every file's path from `folder`, with forward slashes, and its size."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
