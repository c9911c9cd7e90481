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
from talo_export.tasks.answer_texts import choice_of_text, is_refusal, says_accepted
from talo_export.tasks.item import LETTERS, Item
from talo_export.tasks.plain_text import normalised, plain, without_thinking


@dataclass(frozen=True)
class Reading:
    """What was read: the choice (None for free-form or nothing), and whether it is right."""

    choice: int | None
    parsed: bool
    correct: bool


UNPARSED = Reading(choice=None, parsed=False, correct=False)


def read_answer(text: str, item: Item) -> Reading:
    """Read a generated text as an answer to `item`. Never raises, whatever the text.

    Multiple choice: `parsed` where exactly one choice could be read. Free-form: `parsed` where
    anything but a refusal was written, and, where the accepted answers are numbers, a number.
    """
    said = plain(_up_to_stop(text, item))
    if not said:
        return UNPARSED
    if not item.choices:
        return _read_free_form(said, item)
    choice = _letter(said, item) if item.lettered and item.prompt is None else None
    if choice is None:
        choice = choice_of_text(said, item.choices)
    elif choice < 0:
        return UNPARSED
    if choice is None:
        return UNPARSED
    assert item.answer is not None
    right = normalised(item.choices[item.answer])
    # A choice that repeats the right one's text is as right as that one.
    same = choice == item.answer or normalised(item.choices[choice]) == right != ""
    return Reading(choice=choice, parsed=True, correct=same)


def _up_to_stop(text: str, item: Item) -> str:
    """Text up to the item's stops; what continues a verbatim prompt answers on its first line."""
    text = without_thinking(text)
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


def _read_free_form(said: str, item: Item) -> Reading:
    numbers = [number_of(text) for text in item.accepted]
    if None not in numbers:
        value = stated_number(said)
        if value is None:
            return UNPARSED
        # The relative part forgives what binary fractions do to decimals, nothing more.
        near = (abs(value - n) <= item.tolerance + 1e-9 * abs(n) for n in numbers if n is not None)
        return Reading(choice=None, parsed=True, correct=any(near))
    if says_accepted(said, item.accepted):
        return Reading(choice=None, parsed=True, correct=True)
    return UNPARSED if is_refusal(said) else Reading(choice=None, parsed=True, correct=False)
