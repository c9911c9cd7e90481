"""What is wrong with a task file: collected row by row, told all at once (up to ten)."""

from __future__ import annotations

from dataclasses import dataclass, field

from talo_export.errors import TaloError

SHOWN = 10


class FieldError(Exception):
    """One field of one row cannot be read. Caught by the file reader, which knows the row."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.field = name


@dataclass
class Problems:
    """Findings about one file, in the order of its rows."""

    source: str
    found: list[str] = field(default_factory=list)

    def add(self, where: str, name: str | None, message: str) -> None:
        """Note a finding. `where` names the row ("line 7"), `name` the field if any."""
        place = f"{where}, field '{name}'" if name else where
        self.found.append(f"{place}: {message}")

    def raise_if_any(self) -> None:
        """Raises: TaloError listing the first ten findings and how many more there are."""
        if not self.found:
            return
        if len(self.found) == 1:
            raise TaloError(f"{self.source}, {self.found[0]}")
        lines = [f"{self.source} has {len(self.found)} problems:"]
        lines += [f"  {finding}" for finding in self.found[:SHOWN]]
        if len(self.found) > SHOWN:
            lines.append(f"  ... and {len(self.found) - SHOWN} more")
        raise TaloError("\n".join(lines))
