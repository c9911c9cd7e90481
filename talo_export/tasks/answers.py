"""Read the answer out of what a model wrote, strictly: what cannot be read is its own outcome.

A letter is looked for as the whole answer, after a phrase such as "the answer is", at the start,
at the end, in parentheses; then the text of a choice. Where two choices compete nothing is read:
no guess, no random fallback, no judge model.
"""

from __future__ import annotations

from dataclasses import dataclass

from talo_export.tasks.answer_letters import (
    letters_after_phrase,
    letters_alone,
    letters_at_end,
    letters_at_start,
    letters_in_parentheses,
    listed_letters,
)
from talo_export.tasks.answer_numbers import number_of, stated_number
from talo_export.tasks.answer_texts import (
    choice_of_text,
    choice_said_exactly,
    is_refusal,
    says_accepted,
)
from talo_export.tasks.item import LETTERS, Item
from talo_export.tasks.plain_text import exact, plain
from talo_export.tasks.thoughts import up_to_next_question, without_thoughts

RULES = "3"
"""Which rules these are: another number as soon as any text is read otherwise, so that answers read
by one version are not mixed with those of another."""


@dataclass(frozen=True)
class Reading:
    """What was read: the choice (None for free-form or nothing), and whether it is right."""

    choice: int | None
    parsed: bool
    correct: bool


UNPARSED = Reading(choice=None, parsed=False, correct=False)


def is_right(item: Item, choice: int) -> bool:
    """Whether a choice is the right one, or repeats its text."""
    assert item.answer is not None
    return choice == item.answer or exact(item.choices[choice]) == exact(item.choices[item.answer])


def read_answer(text: str, item: Item) -> Reading:
    """Read a generated text as an answer to `item`. Never raises, whatever the text.

    Multiple choice: `parsed` where exactly one choice could be read. Free-form: `parsed` where
    anything but a refusal was written, and, where the accepted answers are numbers, a number.
    """
    answer = _up_to_stop(without_thoughts(text), item)
    before = up_to_next_question(answer)
    reading = _read(before, item)
    # A text that repeats the question before it answers has invented none.
    return reading if reading.parsed or before == answer else _read(answer, item)


def _read(text: str, item: Item) -> Reading:
    said = plain(text)
    if not item.choices:
        return _read_free_form(text, said, item)
    choice = None
    if item.lettered and item.prompt is None:
        letters = LETTERS[: len(item.choices)]
        # "A+" is the choice of that text, but a bare letter is the letter.
        if not letters_alone(said, letters):
            choice = choice_said_exactly(text, item.choices)
        if choice is None:
            choice = _letter(said, item)
    if choice is None:
        choice = choice_of_text(text, item.choices)
    if choice is None or choice < 0:
        return UNPARSED
    return Reading(choice=choice, parsed=True, correct=is_right(item, choice))


def _up_to_stop(text: str, item: Item) -> str:
    """Text up to the item's stops; what continues a verbatim prompt answers on its first line."""
    for stop in item.until or (("\n",) if item.prompt is not None else ()):
        text = text.lstrip().partition(stop)[0]
    return text


def _letter(said: str, item: Item) -> int | None:
    """Index of the letter read; None for no letter at all, -1 for several that compete."""
    letters = LETTERS[: len(item.choices)]
    alone = letters_alone(said, letters)
    phrase = letters_after_phrase(said, letters)
    for found in (
        alone | phrase if alone else phrase,
        letters_at_start(said, letters, item.choices),
        letters_at_end(said, letters),
        letters_in_parentheses(said, letters),
    ):
        if len(found) == 1:
            return letters.index(found.pop())
        if found:
            return -1
    # A text that goes through the options and ends on none of them has not answered.
    return -1 if len(listed_letters(said, letters)) > 1 else None


def _read_free_form(text: str, said: str, item: Item) -> Reading:
    numbers = [number_of(text) for text in item.accepted]
    if None not in numbers:
        value = stated_number(said)
        if value is None:
            return UNPARSED
        # The relative part forgives what binary fractions do to decimals, nothing more.
        near = (abs(value - n) <= item.tolerance + 1e-9 * abs(n) for n in numbers if n is not None)
        return Reading(choice=None, parsed=True, correct=any(near))
    if says_accepted(text, item.accepted):
        return Reading(choice=None, parsed=True, correct=True)
    return Reading(choice=None, parsed=bool(said) and not is_refusal(said), correct=False)
