"""What a long sweep tells whoever watches it. Nothing in this room prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from talo_export.knockout import Knockout


@dataclass(frozen=True, slots=True)
class Progress:
    """State after a batch. A cell is one item answered by one variant.

    `done` counts cells answered in this call or found in the journal; `resumed` only the latter,
    so that time left is estimated from `done - resumed`. `gains` holds each variant's accuracy
    minus the base's over the items both have answered so far.
    """

    done: int
    total: int
    resumed: int
    gains: Mapping[Knockout, float]
    note: str | None = None
    """Something a person should read once (an engine fell back, a batch shrank)."""


Watcher = Callable[[Progress], None]
