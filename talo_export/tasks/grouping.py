"""Groups: which items must stay on one side of a split because they show the same picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from talo_export.tasks.item import Item


def grouped_by_images(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items, those with a blank group given one: their image's hash, or their own id.

    Where items hold several images, sharing one is enough, also through a third item: the group
    is named after the smallest hash among all that hang together. Items of one unit hang together
    too.
    """
    items = tuple(items)
    parent: dict[str, str] = {}

    def root(image: str) -> str:
        while parent.setdefault(image, image) != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    blank = [item for item in items if not item.group]
    for item in blank:
        ties = _ties(item)
        for tie in ties:
            first, second = sorted((root(ties[0]), root(tie)))
            parent[second] = first
    return tuple(
        item if item.group else replace(item, group=root(_ties(item)[0])) for item in items
    )


def _ties(item: Item) -> list[str]:
    """What binds an item to others: its images, its unit; its own id where it has neither."""
    ties = [image.sha256 for image in item.images]
    if item.unit is not None:
        ties.append(f"unit {item.unit}")
    return ties or [item.id]
