"""What long work tells whoever watches it. Only `cli/` prints; everything else reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

Unit = Literal["answers", "bytes", "cells", "tasks"]


Advance = Callable[..., None]
"""Called as work goes on, `advance(done, **facts)`: how much of the phase is done now, and facts
about where it is (of answers `progress`, of cells `cell` and `result`, of tasks `name`).
"""


class Reporter(Protocol):
    """Hears of remarks and of phases. A phase ends where the next of its kind begins."""

    def note(self, text: str) -> None:
        """A passing remark, one line."""

    def phase(self, name: str, total: int, unit: Unit) -> Advance:
        """Begin a phase of `total` units, called `name` ("probing 20 items")."""


class Silent:
    """A reporter that nobody listens to."""

    def note(self, text: str) -> None:
        """Nothing."""

    def phase(self, name: str, total: int, unit: Unit) -> Advance:
        """Nothing."""
        return lambda done, **facts: None


SILENT: Reporter = Silent()


def steps(advance: Advance) -> Callable[[int], None]:
    """What to call with the part done since the last call, to advance by the sum."""
    done = 0

    def step(size: int) -> None:
        nonlocal done
        done += size
        advance(done)

    return step
