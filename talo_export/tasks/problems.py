"""What is wrong with a task's data: collected row by row, told all at once (up to ten)."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field
from typing import Any

from talo_export.errors import TaloError

SHOWN = 10


class FieldError(Exception):
    """One field of one row cannot be read. Caught where the row is known."""

    def __init__(self, name: str | None, message: str) -> None:
        super().__init__(message)
        self.field = name


def brief(value: Any) -> str:
    """A value's repr, short whatever its size and depth."""
    return f"{reprlib.repr(value):.60}"


@dataclass
class Problems:
    """Findings about one file, in the order of its rows."""

    source: str
    found: list[str] = field(default_factory=list)

    def add(self, where: str, error: FieldError) -> None:
        """Note a finding. `where` names the row ("line 7")."""
        place = f"{where}, field '{error.field}'" if error.field else where
        self.found.append(f"{place}: {error}")

    def raise_if_any(self) -> None:
        """Raises: TaloError listing the first ten findings and how many more there are."""
        if not self.found:
            return
        if len(self.found) == 1:
            raise TaloError(f"{self.source}, {self.found[0]}")
        lines = [f"  {finding}" for finding in self.found[:SHOWN]]
        if len(self.found) > SHOWN:
            lines.append(f"  ... and {len(self.found) - SHOWN} more")
        raise TaloError(f"{self.source} has {len(self.found)} problems:", *lines)
