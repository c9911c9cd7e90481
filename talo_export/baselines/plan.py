"""Which cells a comparison consists of: methods x shots x seeds, and the items of each.

One split a seed, drawn for the largest number of shots: its confirmation items are the test items
of every cell of that seed, so that curves over shots are read on the same items, and fewer shots
are drawn from its probing items. With a single number of shots this is exactly the split that
`probe` makes for the same seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from talo_export.baselines.methods import Method
from talo_export.baselines.request import CellRequest
from talo_export.baselines.settings import Training
from talo_export.errors import UsageError
from talo_export.tasks.item import Item, Task
from talo_export.tasks.splits import split_task


@dataclass(frozen=True, slots=True)
class Draw:
    """One seed's items: nested training sets by number of shots, and the test set of them all."""

    seed: int
    train: dict[int, tuple[Item, ...]]
    test: tuple[Item, ...]


def draw(task: Task, shots: Sequence[int], seed: int, test_limit: int | None = None) -> Draw:
    """Split the task for one seed. `test_limit` keeps that many test items, drawn by hash.

    Raises UsageError where the task is too small, or a limit below 1 is asked for.
    """
    if test_limit is not None and test_limit < 1:
        raise UsageError(f"--test-limit is {test_limit}: at least 1 item is needed.")
    most = max(shots)
    whole = split_task(task, most, seed)
    pool = Task(task.name, whole.probe, task.source)
    train = {
        n: whole.probe if n == most else split_task(pool, n, seed).probe for n in sorted(set(shots))
    }
    test = whole.confirm
    if test_limit is not None and test_limit < len(test):
        ranked = sorted(test, key=lambda i: hashlib.sha256(f"{seed}\n{i.id}".encode()).digest())
        test = tuple(sorted(ranked[:test_limit], key=lambda item: item.id))
    return Draw(seed, train, test)


def plan_cells(
    template: CellRequest, methods: Sequence[Method], draws: Sequence[Draw]
) -> tuple[CellRequest, ...]:
    """Every cell, cheapest first within a seed: the base (once, with 0 shots), then by shots.

    A cell says only what it depends on: how adapters are trained is no part of a method that
    trains none, which is therefore not run again for another learning rate.
    """
    untrained = replace(template, training=Training())
    cells: list[CellRequest] = []
    for one in draws:
        test = tuple(item.id for item in one.test)
        for method in methods:
            if not method.learns:
                cells.append(
                    replace(
                        untrained, method=method.name, shots=0, seed=one.seed, train=(), test=test
                    )
                )
        for shots, items in one.train.items():
            cells += [
                replace(
                    untrained if method.adapter is None else template,
                    method=method.name,
                    shots=shots,
                    seed=one.seed,
                    train=tuple(item.id for item in items),
                    test=test,
                )
                for method in methods
                if method.learns
            ]
    return tuple(cells)
