"""A benchmark as data: what one YAML file under `catalogue/` says.

The files are declarations: where the data set is, what its columns mean, how a question is
worded, and which column's values are tasks. Nothing in them is code except Jinja templates of
wordings, which see one row and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from talo_export.tasks.names import slug
from talo_export.tasks.split_files import Location

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader written in C where PyYAML was built with it: a tenth of the time."""

AnswerKind = Literal["index", "letter", "text"]


@dataclass(frozen=True)
class ChoiceSource:
    """Where an item's choices stand: exactly one of these is set, or none for free-form sets.

    `column` holds a list (or a text that spells one), `columns` one choice each, `fixed` the same
    choices for every item, `inside` the column whose text lists them (`A: x, B: y`).
    """

    column: str | None = None
    columns: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    inside: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which column (a dotted path into nested records) holds what; None where a set has none.

    `images` are read in order, a list in one of them in its own order, blanks left out; with
    `images_named_in_text` only those that the question or a choice names (`<image 2>`).
    `unit_modulo`: ids that are equal modulo this number are one question asked several ways.
    """

    question: str
    answer: str
    answer_kind: AnswerKind
    choices: ChoiceSource
    id: str | None = None
    hint: str | None = None
    images: tuple[str, ...] = ()
    images_named_in_text: bool = False
    group: str | None = None
    unit: str | None = None
    unit_modulo: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Division:
    """One way in which a benchmark falls into tasks: a column whose every value is one.

    `pattern` picks the value out of the column's text; `values` gives the known ones with their
    number of items (None where nobody counted), `chance` their chance level where it is not the
    benchmark's; `members` maps a task onto several values of the column. Where `open`, the column
    holds more values than are listed: any other name is looked for in the data.
    """

    column: str
    values: Mapping[str, int | None]
    pattern: str | None = None
    prefix: str = ""
    chance: Mapping[str, float] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: bool = False

    def name(self, value: str) -> str:
        """The task's name behind the benchmark's: `topic-` + `world-history`."""
        return self.prefix + slug(value)


@dataclass(frozen=True)
class Benchmark:
    """One file of the catalogue.

    `repositories` are tried in order, the same data at several names, each with the commit that
    is read: sizes and schemas of this file are that commit's. `blank` are texts that stand for a
    missing cell there.
    """

    name: str
    title: str
    repositories: Mapping[str, str]
    split: str
    columns: Columns
    config: str | None = None
    examples: str | None = None
    blank: tuple[str, ...] = ()
    keep: Mapping[str, str] = field(default_factory=dict)
    keep_below: Mapping[str, int] = field(default_factory=dict)
    lettered: bool = True
    size: int | None = None
    chance: float | None = None
    scoring: str = "generate"
    bare_names: bool = True
    wordings: Mapping[str, str] = field(default_factory=dict)
    divisions: tuple[Division, ...] = ()

    @property
    def location(self) -> Location:
        """Where its data is."""
        return Location(self.name, self.repositories, self.config)


@cache
def benchmarks() -> Mapping[str, Benchmark]:
    """Every benchmark of the catalogue by name, in alphabetical order."""
    return {name: _read(name, text) for name, text in _documents()}


def _documents() -> Iterator[tuple[str, str]]:
    folder = files("talo_export.tasks") / "catalogue"
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            yield entry.name.removesuffix(".yaml").replace("_", "-"), entry.read_text("utf-8")


def _read(name: str, text: str) -> Benchmark:
    document: dict[str, Any] = yaml.load(text, Loader=LOADER)
    columns = document.pop("columns")
    choices = columns.pop("choices", {})
    divisions = document.pop("tasks", [])
    return Benchmark(
        name=name,
        columns=Columns(choices=ChoiceSource(**_tuples(choices)), **_tuples(columns)),
        divisions=tuple(_division(division) for division in divisions),
        **_tuples(document),
    )


def _division(document: dict[str, Any]) -> Division:
    members = {key: tuple(values) for key, values in document.pop("members", {}).items()}
    values = document.pop("values")
    if isinstance(values, list):
        values = dict.fromkeys(values)
    return Division(values=values, members=members, **document)


def _tuples(document: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
