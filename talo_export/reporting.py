"""What long work tells whoever watches it. Only `cli/` prints; everything else reports."""

from __future__ import annotations

from typing import Any, Literal, Protocol

Unit = Literal["answers", "bytes", "cells", "tasks"]


class Advance(Protocol):
    """Called as work goes on: how much of the phase is `done` now, and facts about where it is."""

    def __call__(self, done: int, /, **facts: Any) -> None:
        """Tell it."""


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
