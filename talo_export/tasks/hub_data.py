"""A data set of the Hub as a user's own task: `hf://owner/name[@revision][/config]/split`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.tasks.building import Take
from talo_export.tasks.item import Task
from talo_export.tasks.own_data import own_task
from talo_export.tasks.rows import Row
from talo_export.tasks.split_files import Location
from talo_export.tasks.table import find_split, parquet_table

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
    return Location(repository, {repository: None}, config, revision or None), parts[-1]


def load_hub_task(
    reference: str,
    *,
    data: Path | None = None,
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
    take: Take | None = None,
) -> Task:
    """The items of one split, from the Hub, its cache, or a local copy below `data`.

    The other options are those of `own_task`.

    Raises: UsageError for a malformed reference; TaloError if the data cannot be had or read.
    """
    location, split = parse_hub_reference(reference)
    found = find_split(location, split, data)
    table = parquet_table(found.files, found.source)
    rows = [Row(where, fields) for where, fields in table.records()]
    name, source = f"{location.name}/{split}", table.source
    task = own_task(name, rows, source, None, columns=columns, choices_from=choices_from, take=take)
    return replace(task, source=f"{source} {split}")
