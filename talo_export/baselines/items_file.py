"""Items on disk exactly as they are in memory, so that a process of its own can read them.

A task file of the user goes through readers that normalise; what a cell is given must be the very
items the comparison split, so they are stored field by field, pictures as base64.
"""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError
from talo_export.tasks.item import Item, ItemImage, Task


def write_items(task: Task, path: Path) -> None:
    """One JSON object a line, the task's name and source first."""
    rows: list[dict[str, Any]] = [{"name": task.name, "source": task.source}]
    rows += [_item_json(item) for item in task.items]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_items(path: Path, fingerprint: str) -> Task:
    """Inverse of `write_items`. Raises TaloError where the task is not the one fingerprinted."""
    head, *rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    task = Task(head["name"], tuple(_item(row) for row in rows), head["source"])
    if task.fingerprint != fingerprint:
        raise TaloError(f"{path} does not hold the items that were asked for: start over.")
    return task


def _item_json(item: Item) -> dict[str, Any]:
    row = {field.name: getattr(item, field.name) for field in fields(item)}
    row["images"] = [
        {"name": image.name, "data": base64.b64encode(image.read()).decode("ascii")}
        for image in item.images
    ]
    return row


def _item(row: dict[str, Any]) -> Item:
    images = tuple(
        ItemImage(name=image["name"], data=base64.b64decode(image["data"]))
        for image in row["images"]
    )
    tuples = {name: tuple(row[name]) for name in ("choices", "accepted")}
    return Item(**{**row, **tuples, "images": images})
