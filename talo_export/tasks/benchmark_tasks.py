"""Load named tasks of the catalogue, each benchmark's table opened once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.tasks.benchmark import benchmarks
from talo_export.tasks.benchmark_items import (
    benchmark_items,
    division_values,
    kept_rows,
    rows_of_value,
)
from talo_export.tasks.building import Take
from talo_export.tasks.catalogue import Entry
from talo_export.tasks.item import Item, Task
from talo_export.tasks.table import Table, find_split, parquet_table


def load_entry(
    entry: Entry, data: Path | None = None, revision: str | None = None, take: Take | None = None
) -> Task:
    """The task of a catalogue entry, from `data` (a local copy) or the Hub.

    `revision` is a commit, branch or tag of the Hub's repository, in place of the catalogue's;
    the task's source names the commit that was loaded. `take` is that of `build_items`.

    Raises: TaloError if the data cannot be had, or is not what the catalogue describes.
    """
    benchmark = entry.benchmark
    table = _open(benchmark.name, benchmark.split, data, revision)
    items = _items(entry, table, take)
    return Task(name=entry.name, items=items, source=f"{table.source} {entry.name}")


def entry_examples(
    entry: Entry, data: Path | None = None, revision: str | None = None
) -> tuple[Item, ...]:
    """Items to show as few-shot examples: the same task in the benchmark's examples split.

    Raises: UsageError if the benchmark has none; as `load_entry`.
    """
    benchmark = entry.benchmark
    if benchmark.examples is None:
        raise UsageError(f"{benchmark.name} has no split to take few-shot examples from.")
    return _items(entry, _open(benchmark.name, benchmark.examples, data, revision))


def _items(entry: Entry, table: Table, take: Take | None = None) -> tuple[Item, ...]:
    benchmark = entry.benchmark
    rows: Sequence[int] = kept_rows(benchmark, table)
    categories: list[str | None] = [entry.value] * len(rows)
    if entry.division is not None and entry.value is not None:
        rows = rows_of_value(table, rows, entry.division, entry.value)
        categories = categories[: len(rows)]
    elif benchmark.divisions:
        first = benchmark.divisions[0]
        categories = [", ".join(division_values(table.rows[row], first)) for row in rows]
    return benchmark_items(benchmark, table, rows, categories, take)


@lru_cache(maxsize=4)
def _open(name: str, split: str, data: Path | None, revision: str | None) -> Table:
    benchmark = benchmarks()[name]
    location = benchmark.location
    if revision is not None:
        location = replace(location, revision=revision)
    found = find_split(location, split, data)
    return parquet_table(found.files, found.source)


def forget_tables() -> None:
    """Drop the tables kept open between tasks of one benchmark."""
    _open.cache_clear()
