"""From a benchmark's rows to items, by what its catalogue file says about the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from talo_export.errors import TaloError
from talo_export.tasks.benchmark import Benchmark, Columns, Division
from talo_export.tasks.fields import (
    look_up,
    read_accepted,
    read_choices,
    read_label,
    read_list,
    read_text,
)
from talo_export.tasks.grouping import grouped_by_images
from talo_export.tasks.item import LETTERS, Item, ItemImage
from talo_export.tasks.names import nearest, slug
from talo_export.tasks.options_in_text import split_options
from talo_export.tasks.problems import FieldError, Problems
from talo_export.tasks.prompts import lettered_choices
from talo_export.tasks.row_items import content_id
from talo_export.tasks.table import Table
from talo_export.tasks.templates import fill_template


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


def build_items(
    benchmark: Benchmark, table: Table, rows: Sequence[int], categories: Sequence[str | None]
) -> tuple[Item, ...]:
    """The items of these rows, in their order, each with its category.

    Rows that are the same item twice both stay, the later with a number behind its id.

    Raises: TaloError if a column is missing, or naming up to ten rows that cannot be read.
    """
    _check_columns(benchmark, table)
    problems = Problems(table.source)
    items: list[Item] = []
    seen: Counter[str] = Counter()
    for number, category in zip(rows, categories, strict=True):
        try:
            item = _item(benchmark, table, number)
        except FieldError as error:
            problems.add(f"row {number + 1}", error.field, str(error))
            continue
        seen[item.id] += 1
        if seen[item.id] > 1:
            item = replace(item, id=f"{item.id}-{seen[item.id]}")
        items.append(replace(item, category=category))
    problems.raise_if_any()
    return grouped_by_images(items)


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


def _item(benchmark: Benchmark, table: Table, number: int) -> Item:
    columns, row = benchmark.columns, table.rows[number]
    question = read_text(row, columns.question)
    if question is None:
        raise FieldError(columns.question, "missing")
    stem, choices = _choices(columns, row, question)
    answer, accepted, choices = _answer(columns, row, choices)
    images = _images(columns, table, number, question, choices)
    # Blank hints are the text "nan" in some sets.
    hint = read_label(row, columns.hint) and read_text(row, columns.hint) if columns.hint else None
    unit = read_label(row, columns.unit) if columns.unit else None
    if unit is not None and columns.unit_modulo is not None:
        unit = str(int(unit) % columns.unit_modulo)  # Rotation n of question q is n x 10^6 + q.
    item = Item(
        id=(columns.id and read_label(row, columns.id))
        or content_id(question, hint, choices, answer, accepted, images),
        group=(columns.group and read_label(row, columns.group)) or "",
        question=question,
        choices=choices,
        answer=answer,
        accepted=accepted,
        images=images,
        hint=hint,
        lettered=benchmark.lettered,
        tolerance=_tolerance(columns, row),
        unit=unit,
    )
    return replace(item, wordings=_wordings(benchmark, item, stem, row))


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
        value = look_up(row, source.column)
        listed = read_list(value, source.column) if value not in (None, "") else []
        return question, read_choices({"choices": listed})
    cells = {LETTERS[n]: row.get(column) for n, column in enumerate(source.columns)}
    return question, read_choices(cells)


def _answer(
    columns: Columns, row: Mapping[str, Any], choices: tuple[str, ...]
) -> tuple[int | None, tuple[str, ...], tuple[str, ...]]:
    """(index, accepted texts, choices): the index is None where the item is free-form.

    An item whose options stand in the question is free-form if its answer is no letter; if it is
    one, but no options could be told apart, its choices are the bare letters.
    """
    value = row.get(columns.answer)
    name = columns.answer
    if columns.choices.inside:
        letter = str(value).strip("(). ").upper()
        if len(letter) != 1 or letter not in LETTERS:
            return None, read_accepted(value), ()
        if LETTERS.index(letter) >= len(choices):
            choices = tuple(LETTERS[: max(4, LETTERS.index(letter) + 1)])
    if not choices:
        # MathVista's "[1, 2]" is one answer, MMMU's "['4', 'four']" are two.
        listed = columns.answer_kind != "text"
        return None, read_accepted(value if listed else [str(value)]), ()
    if columns.answer_kind == "text":
        return _index_of_text(str(value), choices, name), (), choices
    if columns.answer_kind == "letter":
        index = LETTERS.find(str(value).strip("(). ").upper() or "?")
    else:
        index = int(str(value)) if str(value).strip().isdigit() else -1
    if not 0 <= index < len(choices):
        raise FieldError(name, f"{value!r:.40} is none of the {len(choices)} choices")
    return index, (), choices


def _index_of_text(text: str, choices: tuple[str, ...], name: str) -> int:
    # Three items of MathVista list the right text twice: the first stands for both.
    for same in (str.strip, lambda words: words.strip().casefold()):
        for index, choice in enumerate(choices):
            if same(choice) == same(text):
                return index
    raise FieldError(name, f"'{text:.40}' is the text of none of the choices")


def _images(
    columns: Columns, table: Table, number: int, question: str, choices: tuple[str, ...]
) -> tuple[ItemImage, ...]:
    wanted = columns.images
    if columns.images_named_in_text:
        text = " ".join((question, *choices))
        named = {f"image_{digit}" for digit in re.findall(r"<image (\d+)>", text)}
        wanted = tuple(column for column in wanted if column in named)
    return table.images(number, wanted)


def _tolerance(columns: Columns, row: Mapping[str, Any]) -> float:
    """Rounding to `precision` decimals gives the answer exactly within half of the last one."""
    value = row.get(columns.precision) if columns.precision else None
    return 0.5 * 10 ** -int(value) if value is not None and value > 0 else 0.0


def _wordings(
    benchmark: Benchmark, item: Item, stem: str, row: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    values = {
        "question": item.question,
        "stem": stem,
        "hint": item.hint,
        "choices": item.choices,
        "options": lettered_choices(item.choices) if item.lettered else "",
        "letters": LETTERS[: len(item.choices)],
        "row": row,
    }
    wordings = benchmark.wordings.items()
    return tuple((style, fill_template(text, values)) for style, text in wordings)
