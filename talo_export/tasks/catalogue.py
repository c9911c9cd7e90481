"""The catalogue's names: what there is, what a name or pattern means, what was probably meant.

`scienceqa/maps` is a task, `scienceqa` the whole benchmark as one, `maps` enough where only one
benchmark has it. `scienceqa/*` and `all` mean many.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from talo_export.errors import UsageError
from talo_export.tasks.benchmark import Benchmark, Division, benchmarks
from talo_export.tasks.names import nearest, slug

NEARLY_THE_SAME = 0.9
"""Likeness beyond which an unlisted name is taken for a misspelt one."""


@dataclass(frozen=True)
class Entry:
    """A named task: a benchmark, or one value of one of its divisions."""

    name: str
    benchmark: Benchmark
    division: Division | None = None
    value: str | None = None


@dataclass(frozen=True)
class TaskSummary:
    """What is known of a task before its data is read; None where that takes the data."""

    name: str
    items: int | None
    chance: float | None
    scoring: str
    source: str
    description: str


@cache
def entries() -> dict[str, Entry]:
    """Every task by full name: whole benchmarks, then their divisions, in the files' order."""
    found: dict[str, Entry] = {}
    for benchmark in benchmarks().values():
        found[benchmark.name] = Entry(benchmark.name, benchmark)
        for division in benchmark.divisions:
            for value in division.values:
                name = f"{benchmark.name}/{division.name(value)}"
                found[name] = Entry(name, benchmark, division, value)
    return found


def list_tasks(
    pattern: str | None = None, others: Iterable[TaskSummary] = ()
) -> tuple[TaskSummary, ...]:
    """The tasks whose name matches: a glob, a benchmark, or any part of a name; None for all.

    `others`, which are no benchmark's, come first.

    Raises: UsageError where nothing matches, suggesting the nearest names.
    """
    wanted = "*" if pattern in (None, "all") else str(pattern)
    matching = tuple(
        task
        for task in (*others, *map(_summary, entries().values()))
        if fnmatchcase(task.name, wanted) or ("*" not in wanted and wanted in task.name)
    )
    if not matching:
        raise UsageError(f"No task matches '{wanted}'{_suggestion(wanted)}")
    return matching


def find_entry(name: str) -> Entry:
    """The task of that name: full, or bare where it is unique.

    Raises: UsageError for an unknown name (suggesting the nearest) or a bare name of several.
    """
    known = entries()
    if name in known:
        return known[name]
    candidates = [
        entry
        for full, entry in known.items()
        if entry.benchmark.bare_names and full.partition("/")[2] == name
    ]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(entry.name for entry in candidates)
        raise UsageError(f"'{name}' could be any of {names}: write the one you mean in full.")
    unlisted = _unlisted(name)
    if unlisted is not None:
        return unlisted
    hub = f" A data set of the Hub is written hf://{name}/SPLIT." if name.count("/") == 1 else ""
    raise UsageError(f"There is no task and no file '{name}'{_suggestion(name)}{hub}")


def _unlisted(name: str) -> Entry | None:
    """A value that an open division does not list; None where a listed one is nearly the same."""
    owner, _, bare = name.partition("/")
    benchmark = benchmarks().get(owner)
    if benchmark is None or not bare or bare != slug(bare):
        return None
    if difflib.get_close_matches(name, entries(), n=1, cutoff=NEARLY_THE_SAME):
        return None
    # The longest prefix first: the benchmark's own names have none.
    for division in sorted(benchmark.divisions, key=lambda one: -len(one.prefix)):
        if division.open and bare.startswith(division.prefix):
            return Entry(name, benchmark, division, bare.removeprefix(division.prefix))
    return None


def match_entries(pattern: str) -> tuple[Entry, ...]:
    """The tasks that a pattern means: `all`, a glob over full names, or one name.

    A glob leaves out whole benchmarks that have tasks of their own: their items are in those.

    Raises: UsageError where nothing matches; as `find_entry` for a plain name.
    """
    if pattern != "all" and not any(sign in pattern for sign in "*?["):
        return (find_entry(pattern),)
    wanted = "*" if pattern == "all" else pattern
    found = tuple(
        entry
        for name, entry in entries().items()
        if fnmatchcase(name, wanted) and (entry.division or not entry.benchmark.divisions)
    )
    if not found:
        raise UsageError(f"No task matches '{pattern}'{_suggestion(pattern.strip('/*'))}")
    return found


def _summary(entry: Entry) -> TaskSummary:
    benchmark, division, value = entry.benchmark, entry.division, entry.value
    config = f" {benchmark.config}" if benchmark.config else ""
    if division is None or value is None:
        size, chance, words = benchmark.size, benchmark.chance, benchmark.title
    else:
        size = division.values[value]
        chance = division.chance.get(value, benchmark.chance)
        words = f"{benchmark.title}: {value}"
    source = f"{next(iter(benchmark.repositories))}{config} {benchmark.split}"
    return TaskSummary(entry.name, size, chance, benchmark.scoring, source, words)


def _suggestion(name: str) -> str:
    full = entries()
    bare = {n.partition("/")[2] for n, e in full.items() if "/" in n and e.benchmark.bare_names}
    hint = nearest(name, [*full, *bare])
    return f": {hint}" if hint else "; `talo-export tasks` lists what there is."
