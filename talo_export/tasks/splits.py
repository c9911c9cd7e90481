"""Which items choose the layer (probe) and which judge the choice (confirm): never the same.

The split is a function of ids, groups, categories, answers and the seed alone. It draws by hash
rather than by a random generator, so it is the same on every platform and version, and for every
order of the items.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from talo_export.errors import UsageError
from talo_export.tasks.item import Item, Task


@dataclass(frozen=True)
class Split:
    """Items sorted by id. No group has items on both sides; `confirm` is empty for all shots."""

    probe: tuple[Item, ...]
    confirm: tuple[Item, ...]


def split_task(task: Task, shots: int | None, seed: int) -> Split:
    """Draw `shots` items to probe with, stratified by right letter and by category.

    Whole groups are drawn, each time the one whose strata lag furthest behind their share, equal
    ones in the order of a hash of seed and group. Where groups hold several items the probe can
    end a few items short of `shots`, never over. `shots=None` puts every item in the probe.

    Raises: UsageError where the shots leave nothing to confirm on, or no group fits into them.
    """
    items = sorted(task.items, key=lambda item: item.id)
    if shots is None:
        return Split(probe=tuple(items), confirm=())
    if shots < 1:
        raise UsageError(f"{shots} shots: at least 1 is needed, or all.")
    if shots >= len(items):
        raise UsageError(
            f"The task {task.name} has {len(items)} items: {shots} shots leave none to confirm on. "
            f"Use fewer than {len(items)} shots, or all of them to probe without confirming."
        )
    drawn = _draw_groups(items, shots, seed)
    if not drawn:
        smallest = min(Counter(item.group for item in items).values())
        raise UsageError(
            f"The task {task.name} has no group of items that fits into {shots} shots: the "
            f"smallest has {smallest}. Use at least {smallest} shots."
        )
    return Split(
        probe=tuple(item for item in items if item.group in drawn),
        confirm=tuple(item for item in items if item.group not in drawn),
    )


def _draw_groups(items: Sequence[Item], shots: int, seed: int) -> set[str]:
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    ranks = {g: hashlib.sha256(f"{seed}\n{g}".encode()).hexdigest() for g in groups}
    waiting = sorted(groups, key=lambda group: (ranks[group], group))
    total = Counter(stratum for item in items for stratum in _strata(item))
    taken: Counter[tuple[str, object]] = Counter()
    drawn: set[str] = set()
    room = shots
    while room:
        # Deficits in whole numbers (share x shots - taken, times the item count): equal ones
        # must compare equal on every machine.
        lag = {stratum: n * shots - taken[stratum] * len(items) for stratum, n in total.items()}
        fitting = [group for group in waiting if len(groups[group]) <= room]
        if not fitting:
            break
        need = {
            group: sum(lag[stratum] for item in groups[group] for stratum in _strata(item))
            for group in fitting
        }
        # The first of those in most need.
        chosen = max(fitting, key=lambda group: need[group] / len(groups[group]))
        waiting.remove(chosen)
        drawn.add(chosen)
        room -= len(groups[chosen])
        taken.update(stratum for item in groups[chosen] for stratum in _strata(item))
    return drawn


def _strata(item: Item) -> tuple[tuple[str, object], ...]:
    return (("answer", item.answer), ("category", item.category))
