"""Read the answer out of what a model wrote, strictly: what cannot be read is its own outcome.

The order of looking, after public evaluation suites: a letter at the start, at the end, after a
phrase such as "the answer is", in parentheses; then the text of a choice. Where two letters
compete at the same place nothing is read: no guess, no random fallback, no judge model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from talo_export.tasks.item import LETTERS, Item
from talo_export.tasks.plain_text import normalised, stripped_of_markup


@dataclass(frozen=True)
class Reading:
    """What was read: the choice (None for free-form or nothing), and whether it is right."""

    choice: int | None
    parsed: bool
    correct: bool


UNPARSED = Reading(choice=None, parsed=False, correct=False)


def read_answer(text: str, item: Item) -> Reading:
    """Read a generated text as an answer to `item`. Never raises on any text.

    Multiple choice: `parsed` where exactly one choice could be read. Free-form: `parsed` where
    anything was written (where the accepted answers are numbers: where a number was written).
    """
    plain = stripped_of_markup(text)
    if not plain:
        return UNPARSED
    if not item.choices:
        return _read_free_form(plain, item)
    choice = _read_choice(plain, item)
    if choice is None:
        return UNPARSED
    return Reading(choice=choice, parsed=True, correct=choice == item.answer)


def _read_choice(plain: str, item: Item) -> int | None:
    whole = _whole_text(plain, item.choices)
    if not item.lettered or item.prompt is not None:
        return whole if whole is not None else _text_within(plain, item.choices)
    letters = LETTERS[: len(item.choices)]
    for find in (_at_start, _after_phrase, _at_end, _in_parentheses):
        found = find(plain, letters)
        if len(found) == 1:
            return LETTERS.index(found.pop())
        if found:
            return None
    return whole if whole is not None else _text_within(plain, item.choices)


def _at_start(plain: str, letters: str) -> set[str]:
    # Alone, lower case counts too; before other text it must be marked as a letter, because
    # "A man ..." and "I think ..." start with words.
    if len(plain.strip("().:,;!")) == 1:
        return {plain.strip("().:,;!").upper()} & set(letters)
    match = re.match(rf"\(?([{letters}])\s*(?:[).:,]+(?=\s|$)|\n|-\s|[).:](?=[A-Z]))", plain)
    if match is None:
        return set()
    rival = re.match(rf"[).:,\s]*(?:or|and|/|&)\s+\(?([{letters}])\b", plain[match.end(1) :])
    return {match.group(1), *(rival.groups() if rival else ())}


def _after_phrase(plain: str, letters: str) -> set[str]:
    phrase = (
        r"(?:answer|option|choice)(?:\s+(?:is|would\s+be|should\s+be))?\s*[:=]?\s*"
        r"(?:(?:option|choice|letter)\s*)?"
    )
    found = re.findall(rf"\b(?i:{phrase})\(?([{letters}])\b(?!['’])(?:[).:,;!]|\s*$|\s)", plain)
    return {found[-1]} if found else set()


def _at_end(plain: str, letters: str) -> set[str]:
    match = re.search(rf"(?:^|[\s(:])([{letters}])[).!]*$", plain)
    return {match.group(1)} if match else set()


def _in_parentheses(plain: str, letters: str) -> set[str]:
    return set(re.findall(rf"\(([{letters}])\)", plain))


def _whole_text(plain: str, choices: tuple[str, ...]) -> int | None:
    said = normalised(plain)
    same = [i for i, choice in enumerate(choices) if normalised(choice) == said]
    return same[0] if len(same) == 1 else None


def _text_within(plain: str, choices: tuple[str, ...]) -> int | None:
    """The one choice whose words stand in the text; a choice inside a longer one yields to it."""
    said = f" {normalised(plain)} "
    present: list[int] = []
    texts = [normalised(choice) for choice in choices]
    for i in sorted(range(len(texts)), key=lambda i: -len(texts[i])):
        if texts[i] and f" {texts[i]} " in said:
            present.append(i)
            said = said.replace(f" {texts[i]} ", " \0 ")
    return present[0] if len(present) == 1 else None


def _read_free_form(plain: str, item: Item) -> Reading:
    wanted = [number for text in item.accepted if (number := _number(text)) is not None]
    if len(wanted) == len(item.accepted):
        said = _last_number(plain)
        if said is None:
            return UNPARSED
        near = any(abs(said - number) <= item.tolerance + 1e-9 * abs(number) for number in wanted)
        return Reading(choice=None, parsed=True, correct=near)
    said_text = normalised(plain)
    correct = any(normalised(text) == said_text for text in item.accepted)
    return Reading(choice=None, parsed=True, correct=correct)


NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+"


def _number(text: str) -> float | None:
    bare = text.strip().rstrip("%°").strip()
    return float(bare.replace(",", "")) if re.fullmatch(NUMBER, bare) else None


def _last_number(plain: str) -> float | None:
    found = re.findall(rf"(?<![\w.])(?:{NUMBER})(?!\w)", plain)
    return float(found[-1].replace(",", "")) if found else None
