"""Groups: which items must stay on one side of a split because they show the same picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from talo_export.tasks.item import Item


def grouped_by_images(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items, those with a blank group given one: their image's hash, or their own id.

    Where items hold several images, sharing one is enough, also through a third item: the group
    is named after the smallest hash among all that hang together.
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
        for image in item.images:
            first, second = sorted((root(item.images[0].sha256), root(image.sha256)))
            parent[second] = first
    return tuple(
        item
        if item.group
        else replace(item, group=root(item.images[0].sha256)[:16] if item.images else item.id)
        for item in items
    )
