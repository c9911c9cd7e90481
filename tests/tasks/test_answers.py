"""Answers: what is read from a model's words, and what is left unread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talo_export.tasks.answers import Reading, read_answer
from talo_export.tasks.item import Item

CITY = Item(
    id="i", group="i", question="?", choices=("Paris", "Rome", "New York", "York"), answer=2
)
COUNT = Item(id="i", group="i", question="?", accepted=("12",))
LENGTH = Item(id="i", group="i", question="?", accepted=("2.5",), tolerance=0.05)
NAME = Item(id="i", group="i", question="?", accepted=("the Nile", "Nile river"))
YES = Item(id="i", group="i", question="?", choices=("Yes", "No"), answer=0, lettered=False)


@pytest.mark.parametrize("text", ["C", " c\n", "(C)", "C. New York", "**C**", "The answer is C."])
def test_a_letter_is_read_in_its_usual_shapes(text: str) -> None:
    assert read_answer(text, CITY) == Reading(choice=2, parsed=True, correct=True)


@pytest.mark.parametrize(("text", "choice"), [("New York", 2), ("It is York.", 3), ("rome!", 1)])
def test_a_choices_text_is_read(text: str, choice: int) -> None:
    assert read_answer(text, CITY) == Reading(choice=choice, parsed=True, correct=choice == 2)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "E", "I cannot see any image.", "Paris or Rome", "(A) or (B)", "A man walks."],
)
def test_what_is_no_single_choice_is_unparsed(text: str) -> None:
    assert read_answer(text, CITY) == Reading(choice=None, parsed=False, correct=False)


@pytest.mark.parametrize(
    ("text", "correct"), [("12", True), ("There are 12 cars.", True), ("13", False), ("12.0", True)]
)
def test_a_number_is_compared_as_a_number(text: str, correct: bool) -> None:
    assert read_answer(text, COUNT) == Reading(choice=None, parsed=True, correct=correct)


def test_a_number_may_differ_by_the_tolerance() -> None:
    assert read_answer("2.54", LENGTH).correct
    assert not read_answer("2.56", LENGTH).correct
    assert not read_answer("no idea", LENGTH).parsed


@pytest.mark.parametrize(
    ("text", "correct"), [("Nile", True), ("the nile river.", True), ("Po", False)]
)
def test_any_accepted_text_is_right(text: str, correct: bool) -> None:
    assert read_answer(text, NAME) == Reading(choice=None, parsed=True, correct=correct)


@pytest.mark.parametrize(("text", "choice"), [("Yes", 0), ("no.", 1), ("Yes, there is a dog.", 0)])
def test_yes_and_no_are_read_as_words(text: str, choice: int) -> None:
    assert read_answer(text, YES).choice == choice


@given(st.text(), st.integers(2, 26))
def test_never_a_choice_that_is_not_there(text: str, count: int) -> None:
    item = Item(
        id="i", group="i", question="?", choices=tuple(f"c{n}" for n in range(count)), answer=0
    )
    reading = read_answer(text, item)
    assert reading.choice is None or 0 <= reading.choice < count
    assert reading.parsed == (reading.choice is not None)
