"""Answered examples before every item of a task, drawn from items that are never asked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from talo_export.errors import UsageError
from talo_export.tasks.item import Item, Task


def with_shots(task: Task, pool: Iterable[Item], shots: int, seed: int) -> Task:
    """The task with the same `shots` examples before each item, as balanced over letters as can be.

    Drawn by a hash of the seed and the example's id, from examples that share no picture and no
    question with the task.

    Raises: UsageError where too few such examples are left.
    """
    if shots == 0:
        return task
    pictures = {image.sha256 for item in task.items for image in item.images}
    asked = {(item.question or item.prompt, item.choices) for item in task.items}
    usable = [
        item
        for item in pool
        if (item.question or item.prompt, item.choices) not in asked
        and not any(image.sha256 in pictures for image in item.images)
    ]
    if shots < 0 or len(usable) < shots:
        raise UsageError(
            f"{task.name} has {len(usable)} examples that share nothing with its items: "
            f"{shots} cannot be shown."
        )
    usable.sort(key=lambda item: hashlib.sha256(f"{seed}\n{item.id}".encode()).hexdigest())
    shown: list[Item] = []
    answers: Counter[int | None] = Counter()
    while len(shown) < shots:
        # The first of those whose letter was shown least: ties stay in the order of the draw.
        example = min(usable, key=lambda item: answers[item.answer])
        usable.remove(example)
        shown.append(example)
        answers[example.answer] += 1
    return replace(task, items=tuple(replace(item, shots=tuple(shown)) for item in task.items))
