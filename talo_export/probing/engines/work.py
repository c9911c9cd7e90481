"""What an engine is given: the items of one batch, and which variants have yet to answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from talo_export.knockout import Knockout
from talo_export.probing.encoding import Encoded


@dataclass(frozen=True)
class Todo:
    """One item. `missing` are the variants without an answer, some of those asked for."""

    encoded: Encoded
    missing: tuple[Knockout | None, ...]


@dataclass(frozen=True)
class Work:
    """A batch. `variants` are all that were asked for, whether they are missing or not."""

    todos: Sequence[Todo]
    variants: tuple[Knockout | None, ...]

    def by_variant(self) -> dict[Knockout | None, list[Encoded]]:
        """The items each variant has yet to answer; variants with none are left out."""
        found: dict[Knockout | None, list[Encoded]] = {}
        for variant in self.variants:
            items = [todo.encoded for todo in self.todos if variant in todo.missing]
            if items:
                found[variant] = items
        return found
