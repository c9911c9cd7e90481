"""A reporter that keeps what it hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talo_export.reporting import Advance, Unit


class Heard:
    """`then` is called with every step's (done, total), as something that happens meanwhile."""

    def __init__(self, then: Callable[[int, int], object] = lambda done, total: None) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self.facts: list[dict[str, Any]] = []
        self._then = then

    def note(self, text: str) -> None:
        self.notes.append(text)

    def phase(self, name: str, total: int, unit: Unit) -> Advance:
        def advance(done: int, **facts: Any) -> None:
            self.steps.append((done, total))
            self.facts.append(facts)
            self._then(done, total)

        return advance

    @property
    def progress(self) -> list[Any]:
        """Where a sweep stood, step by step."""
        return [facts["progress"] for facts in self.facts]
