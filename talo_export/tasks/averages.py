"""Averages of right and wrong over a task's items, each under its name.

Micro is the mean over items, macro the mean over categories of each one's mean: they differ where
categories differ in size. Unit accuracy counts units in place of items, one being right only if
all of its items are: MMBench's circular accuracy over rotations, MME's acc+ over pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from talo_export.tasks.item import Item


@dataclass(frozen=True)
class Averages:
    """Accuracies as shares; `macro` is None without categories, `unit` without units."""

    micro: float
    macro: float | None
    unit: float | None
    by_category: dict[str, float]
    units: int


def average(items: Iterable[Item], correct: Mapping[str, bool]) -> Averages:
    """Averages over the items that `correct` (by item id) has an entry for; at least one."""
    seen = [item for item in items if item.id in correct]
    categories: dict[str, list[bool]] = defaultdict(list)
    units: dict[str, list[bool]] = defaultdict(list)
    for item in seen:
        if item.category is not None:
            categories[item.category].append(correct[item.id])
        if item.unit is not None:
            units[item.unit].append(correct[item.id])
    by_category = {name: sum(marks) / len(marks) for name, marks in sorted(categories.items())}
    return Averages(
        micro=sum(correct[item.id] for item in seen) / len(seen),
        macro=sum(by_category.values()) / len(by_category) if by_category else None,
        unit=sum(all(marks) for marks in units.values()) / len(units) if units else None,
        by_category=by_category,
        units=len(units),
    )
