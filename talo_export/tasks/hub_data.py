"""A data set of the Hub as a user's own task: `hf://owner/name[@revision][/config]/split`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.tasks.item import Task
from talo_export.tasks.row_items import items_of_rows, rename_columns
from talo_export.tasks.rows import Row
from talo_export.tasks.split_files import Location
from talo_export.tasks.table import Table, find_split

SCHEME = "hf://"


def parse_hub_reference(reference: str) -> tuple[Location, str]:
    """The data set and split of a reference. Raises: UsageError if it is not of the form above."""
    parts = reference.removeprefix(SCHEME).split("/")
    if len(parts) not in (3, 4) or not all(parts):
        raise UsageError(
            f"'{reference}' names no split: write hf://owner/name/split, or "
            "hf://owner/name/config/split."
        )
    name, _, revision = parts[1].partition("@")
    repository = f"{parts[0]}/{name}"
    config = parts[2] if len(parts) == 4 else None
    return Location(repository, (repository,), config, revision or None), parts[-1]


def load_hub_task(
    reference: str, *, data: Path | None = None, columns: Mapping[str, str] | None = None
) -> Task:
    """The items of one split, from the Hub, its cache, or a local copy below `data`.

    `columns` maps fields to the data set's columns (`question=stem`); `datasets` image columns
    named for `image` or `images` stay undecoded.

    Raises: UsageError for a malformed reference; TaloError if the data cannot be had or read.
    """
    location, split = parse_hub_reference(reference)
    named = {"image": "image", "images": "images"} | dict(columns or {})
    pictures = [named["image"], named["images"]]
    table = Table(find_split(location, split, data), pictures)
    rows = _with_images(table, pictures)
    others = {k: v for k, v in (columns or {}).items() if k not in ("image", "images")}
    items = items_of_rows(rename_columns(rows, others, table.source), Path(), table.source)
    return Task(name=f"{location.name}/{split}", items=items, source=f"{table.source} {split}")


def _with_images(table: Table, columns: Sequence[str]) -> list[Row]:
    return [
        Row(f"row {number + 1}", fields | {"image": None, "images": list(images)})
        for number, fields in enumerate(table.rows)
        for images in [table.images(number, columns)]
    ]
