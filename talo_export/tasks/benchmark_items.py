"""From a benchmark's rows to items, by what its catalogue file says about the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from talo_export.errors import TaloError
from talo_export.tasks.answer_rule import matching
from talo_export.tasks.benchmark import Benchmark, Columns, Division
from talo_export.tasks.building import Take, build_items
from talo_export.tasks.fields import look_up, read_cells, read_choices, read_label, read_text
from talo_export.tasks.item import LETTERS, Item
from talo_export.tasks.names import nearest, slug
from talo_export.tasks.options_in_text import split_options
from talo_export.tasks.problems import FieldError
from talo_export.tasks.prompts import lettered_choices
from talo_export.tasks.rows import Row
from talo_export.tasks.table import Table
from talo_export.tasks.templates import fill_template

CATEGORY = "our category"
"""Where a row keeps the task that it was chosen for."""


def kept_rows(benchmark: Benchmark, table: Table) -> list[int]:
    """Numbers of the rows that the benchmark counts, decided before any picture is read."""
    rows = enumerate(table.rows)
    return [
        number
        for number, row in rows
        if all(str(look_up(row, c)) == value for c, value in benchmark.keep.items())
        and all(int(look_up(row, c)) < limit for c, limit in benchmark.keep_below.items())
    ]


def rows_of_value(
    table: Table, rows: Iterable[int], division: Division, value: str
) -> tuple[int, ...]:
    """The rows that belong to one task of a division, compared as names are (case, blanks).

    Raises: TaloError if no row does, naming what the column does hold.
    """
    wanted = {slug(member) for member in division.members.get(value, (value,))}
    found: Counter[str] = Counter()
    members = []
    for number in rows:
        values = division_values(table.rows[number], division)
        found.update(values)
        if any(slug(text) in wanted for text in values):
            members.append(number)
    if not members:
        held = nearest(value, found) or f"it holds {', '.join(sorted(found)[:20])}."
        raise TaloError(f"{table.source} has no row whose {division.column} is '{value}': {held}")
    return tuple(members)


def division_values(row: Mapping[str, Any], division: Division) -> list[str]:
    """What a row's division column says: one text, or several where it is a list."""
    value = look_up(row, division.column)
    texts = [str(entry) for entry in (value if isinstance(value, list) else [value])]
    if division.pattern is not None:
        found = (re.search(division.pattern, text) for text in texts)
        texts = [match.group(1) for match in found if match]
    return [text.strip() for text in texts]


def benchmark_items(
    benchmark: Benchmark,
    table: Table,
    rows: Sequence[int],
    categories: Sequence[str | None],
    take: Take | None = None,
) -> tuple[Item, ...]:
    """The items of these rows, in their order, each with its category.

    Rows that are the same item twice both stay, the later with a number behind its id.

    Raises: TaloError if a column is missing, or naming up to ten rows that cannot be read.
    """
    _check_columns(benchmark, table)
    chosen = [
        Row(f"row {number + 1}", table.rows[number] | {CATEGORY: category})
        for number, category in zip(rows, categories, strict=True)
    ]
    read = partial(_read, benchmark)
    return build_items(chosen, table.source, read, number_repeats=True, take=take).items


def _check_columns(benchmark: Benchmark, table: Table) -> None:
    columns = benchmark.columns
    needed = [columns.question, columns.answer, *columns.choices.columns]
    needed += [c for c in (columns.choices.column, columns.choices.inside, columns.id) if c]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise TaloError(
            f"{table.source} is not {benchmark.name} as the catalogue describes it: it has no "
            f"column {', '.join(missing)}, only {', '.join(table.columns)}."
        )


def _read(benchmark: Benchmark, row: Row) -> dict[str, Any]:
    """A row under our field names."""
    columns = benchmark.columns
    blank = benchmark.blank
    cells = {k: None if isinstance(v, str) and v in blank else v for k, v in row.fields.items()}
    question = read_text(cells, columns.question)
    if question is None:
        raise FieldError(columns.question, "missing")
    stem, choices = _choices(columns, cells, question)
    answer, choices = _answer(columns, cells, choices)
    hint = read_text(cells, columns.hint) if columns.hint else None
    unit = read_label(cells, columns.unit) if columns.unit else None
    if unit is not None and columns.unit_modulo is not None:
        unit = str(int(unit) % columns.unit_modulo)  # Rotation n of question q is n x 10^6 + q.
    values = {
        "question": question,
        "stem": stem,
        "hint": hint,
        "choices": choices,
        "options": lettered_choices(choices) if benchmark.lettered else "",
        "letters": LETTERS[: len(choices)],
        "row": {name: v for name, v in cells.items() if not isinstance(v, tuple)},
    }
    return answer | {
        "id": columns.id and read_label(cells, columns.id),
        "content": (question, hint),
        "group": columns.group and read_label(cells, columns.group),
        "question": question,
        "choices": choices,
        "images": _images(columns, cells, question, choices),
        "category": cells[CATEGORY],
        "hint": hint,
        "tolerance": _tolerance(columns, cells),
        "unit": unit,
        "lettered": benchmark.lettered,
        "wordings": tuple((s, fill_template(t, values)) for s, t in benchmark.wordings.items()),
    }


def _choices(
    columns: Columns, row: Mapping[str, Any], question: str
) -> tuple[str, tuple[str, ...]]:
    """The question without options that stand in it, and the choices."""
    source = columns.choices
    if source.fixed:
        return question, source.fixed
    if source.inside:
        return split_options(read_text(row, source.inside) or "")
    if source.column:
        return question, read_choices(look_up(row, source.column), source.column)[0]
    return question, read_choices(read_cells(row, source.columns))[0]


def _answer(
    columns: Columns, row: Mapping[str, Any], choices: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The answer under one of our names, and the choices.

    An item whose options stand in the question is free-form if its answer is no letter; if it is
    one, but no options could be told apart, its choices are the bare letters.
    """
    value, kind = row.get(columns.answer), columns.answer_kind
    if columns.choices.inside:
        letter = str(value).strip("(). ").upper()
        if len(letter) != 1 or letter not in LETTERS:
            return {"answer": value}, ()
        if LETTERS.index(letter) >= len(choices):
            choices = tuple(LETTERS[: max(4, LETTERS.index(letter) + 1)])
    if not choices:
        # MathVista's "[1, 2]" is one answer, MMMU's "['4', 'four']" are two.
        return {"answer": [str(value)] if kind == "text" else value}, ()
    if kind == "text":
        # Three items of MathVista list the right text twice: the first stands for both.
        same = matching(str(value), choices)
        return ({"answer_index": same[0]} if same else {"answer_text": value}), choices
    return {f"answer_{kind}": value}, choices


def _images(
    columns: Columns, row: Mapping[str, Any], question: str, choices: tuple[str, ...]
) -> list[Any]:
    wanted: Iterable[str] = columns.images
    if columns.images_named_in_text:
        named = re.findall(r"<image (\d+)>", " ".join((question, *choices)))
        wanted = [column for column in wanted if column in {f"image_{digit}" for digit in named}]
    return [picture for column in wanted for picture in row.get(column) or ()]


def _tolerance(columns: Columns, row: Mapping[str, Any]) -> float:
    """Rounding to `precision` decimals gives the answer exactly within half of the last one."""
    value = row.get(columns.precision) if columns.precision else None
    return 0.5 * 10 ** -int(value) if value is not None and value > 0 else 0.0
