"""Which choice is right, by one rule for a whole file.

An answer may be an index from 0, a number from 1 where the columns are numbered so, a letter, the
choice's own text, or the label that the data gives the choice. "2" can be three of these, so what
a file means is decided on all of its rows: a reading that fits every one of them. Where several
fit and differ, or none fits all the numbers, the file must say which it means.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talo_export.tasks.fields import is_missing
from talo_export.tasks.item import LETTERS
from talo_export.tasks.problems import FieldError, brief

KINDS = ("index", "number", "letter", "label", "text")
"""Readings of an answer, each also a field of its own: `answer_index`, `answer_number`, ..."""

HOW_TO_SAY = (
    "say what the column holds with --columns answer_index=COLUMN (from 0), answer_number=COLUMN "
    "(from 1), answer_letter=COLUMN or answer_text=COLUMN"
)

NUMBER = re.compile(r"(\d{1,3})(?:\.0+)?")


@dataclass(frozen=True)
class Given:
    """An answer as it stands, and the choices it may mean.

    `kind` is the reading that the data names, None where it must be decided; `labels` are the
    data's names of the choices; `numbered` says that its columns count them from 1. `also` is
    what the data says of the same answer without naming a reading, None for nothing.
    """

    value: Any
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    kind: str | None = None
    numbered: bool = False
    also: Any = None


def right_choices(given: Sequence[Given]) -> list[int | FieldError]:
    """The index of each right choice, or why it cannot be told."""
    found = [_readings(one) for one in given]
    _prefer_labels(given, found)
    numbers = [
        n for n, one in enumerate(given) if one.kind is None and _number(one.value) is not None
    ]
    are_numbers = set(numbers)
    words = [n for n, one in enumerate(given) if one.kind is None and n not in are_numbers]
    # Words and numbers of one file may differ in kind, unless one reading fits them all.
    mixed: set[int] = set()
    if not _settle(found, [*numbers, *words]):
        _settle(found, words)
        if not _settle(found, numbers) and not _common(found, numbers):
            mixed = {n for n in numbers if found[n]}
    return [
        FieldError(
            "answer",
            f"{_short(one.value)} is one of the numbers that fit no one reading: {HOW_TO_SAY}",
        )
        if number in mixed
        else _agreeing(one, _only(one, found[number]))
        for number, one in enumerate(given)
    ]


def counts_from_one(given: Sequence[Given], right: Sequence[int | FieldError]) -> bool:
    """Whether answers were read as indices and none of them is 0, as if they counted from 1."""
    indices = [
        index
        for one, index in zip(given, right, strict=True)
        if one.kind is None and _number(one.value) == index
    ]
    return len(indices) > 1 and len(indices) == len(given) and 0 not in indices


def matching(text: str, choices: Sequence[str]) -> list[int]:
    """Choices whose text this is: exactly, else but for its case, else by its number."""
    text = text.strip()
    for same in (_composed, str.casefold, _value):
        found = [i for i, choice in enumerate(choices) if same(choice.strip()) == same(text)]
        if found:
            return found
    return []


Readings = dict[str, int | None]
"""The choice that each fitting reading means; None where it is several at once."""


def _readings(given: Given) -> Readings:
    value, count = given.value, len(given.choices)
    if is_missing(value) or not isinstance(value, (str, int, float)):
        return {}
    text = str(value).strip()
    found: Readings = {}
    number = _number(value)
    if number is not None and number < count:
        found["index"] = number
    if number is not None and 0 < number <= count and (given.numbered or given.kind == "number"):
        found["number"] = number - 1
    letter = text.strip("().: ").upper()
    if len(letter) == 1 and letter in LETTERS[:count]:
        found["letter"] = LETTERS.index(letter)
    same = matching(text, given.choices)
    if same:
        found["text"] = same[0] if len(same) == 1 else None
    if text in given.labels:
        found["label"] = given.labels.index(text)
    return {kind: choice for kind, choice in found.items() if given.kind in (None, kind)}


def _number(value: Any) -> int | None:
    """The whole number from 0 that a value is or spells, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    whole = NUMBER.fullmatch(str(value).strip())
    return int(whole[1]) if whole and whole[1].isascii() else None


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _value(text: str) -> float | str:
    try:
        return float(text) if text.isascii() else text
    except ValueError:
        return text


def _prefer_labels(given: Sequence[Given], found: list[Readings]) -> None:
    """Where any answer is a label of the data's own, all answers of labelled choices are."""
    labelled = [n for n, one in enumerate(given) if one.labels and one.kind is None]
    if any("label" in found[n] for n in labelled):
        for n in labelled:
            found[n] = {k: v for k, v in found[n].items() if k == "label"}


def _settle(found: list[Readings], group: Sequence[int]) -> bool:
    """Keep the one reading that fits all of a group's rows; whether there is one."""
    fitting = [found[n] for n in group if found[n]]
    common = _common(found, group)
    if len({tuple(readings[kind] for readings in fitting) for kind in common}) != 1:
        return False
    kind = min(common)
    for n in group:
        found[n] = {k: v for k, v in found[n].items() if k == kind}
    return True


def _common(found: list[Readings], group: Sequence[int]) -> set[str]:
    """Readings that fit every row of a group, but for rows that none fits."""
    return set(KINDS).intersection(*(found[n] for n in group if found[n]))


def _agreeing(given: Given, right: int | FieldError) -> int | FieldError:
    """The right choice, unless what the data says of it elsewhere is another one."""
    if isinstance(right, int) and not is_missing(given.also):
        other = _readings(Given(given.also, given.choices, given.labels))
        if other and right not in other.values():
            return FieldError(
                "answer",
                f"{_short(given.also)} is another choice than "
                f"{_short(given.value)} of 'answer_{given.kind}'",
            )
    return right


def _short(value: Any) -> str:
    return f"'{str(value).strip():.60}'"


def _only(given: Given, readings: Readings) -> int | FieldError:
    """The one choice that an answer means, or the error that says why there is none."""
    name = f"answer_{given.kind}" if given.kind else "answer"
    value = given.value
    if is_missing(value):
        return FieldError(name, "missing")
    if not isinstance(value, (str, int, float)):
        return FieldError(name, f"{brief(value)} is no index, letter or text of a choice")
    text = _short(value)
    meant = set(readings.values())
    if not meant:
        return FieldError(name, f"{text} {_none_of(given)}")
    choices = sorted(index for index in meant if index is not None)
    if len(choices) == len(meant) == 1:
        return choices[0]
    if len(choices) < 2:
        same = " and ".join(LETTERS[i] for i in matching(str(value), given.choices))
        return FieldError(name, f"{text} could mean {same}, which read the same: write the letter")
    listed = " and ".join(f"{LETTERS[i]} ({given.choices[i]:.30})" for i in choices)
    return FieldError(name, f"{text} could mean {listed}: {HOW_TO_SAY}")


def _none_of(given: Given) -> str:
    count = len(given.choices)
    if given.labels and given.kind in (None, "label"):
        return f"is none of the labels {', '.join(given.labels)}"
    number = _number(given.value)
    if given.kind == "text" or (number is None and isinstance(given.value, (str, bool))):
        return f"is none of the choices A to {LETTERS[count - 1]}"
    hint = f"; where they count from 1, {HOW_TO_SAY}" if number == count else ""
    return f"is none of the {count} choices (they count from 0){hint}"
