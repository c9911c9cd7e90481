"""Answers: what is read from a model's words, and what is left unread."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from talo_export.tasks.answers import UNPARSED, Reading, read_answer
from talo_export.tasks.item import LETTERS, Item


def choosing(*choices: str, **rest) -> Item:
    return Item(id="i", group="i", question="?", choices=choices, answer=0, **rest)


def free(*accepted: str, **rest) -> Item:
    return Item(id="i", group="i", question="?", accepted=accepted, **rest)


NINE = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ITEMS = {
    "city": choosing("Paris", "Rome", "New York", "York"),
    "nine": choosing(*NINE),
    "sentences": choosing("The dog chased the cat.", "The cat slept.", "A storm came."),
    "numbers": choosing("2", "3", "4", "12"),
    "grades": choosing("B", "A", "D"),
    "polar": choosing("yes", "no"),
    "yesno": choosing("Yes", "No", lettered=False),
    "completion": replace(
        choosing("entailment", "no-entailment"), question=None, prompt="Premise. Hypothesis."
    ),
    "count": free("12"),
    "length": free("2.5", tolerance=0.05),
    "population": free("1234"),
    "percent": free("45%"),
    "interval": free("[0, 10]"),
    "river": free("the Nile", "Nile river"),
}
TABLE = yaml.safe_load(Path(__file__).with_name("answer_table.yaml").read_text("utf-8"))
ROWS = [(name, expected, said) for name, rows in TABLE.items() for expected, said in rows]


def reading(item: Item, expected: str | None) -> Reading:
    """What a row of the table expects, in full."""
    if expected is None:
        return UNPARSED
    if expected in ("right", "wrong"):
        return Reading(choice=None, parsed=True, correct=expected == "right")
    index = LETTERS.index(expected)
    return Reading(choice=index, parsed=True, correct=index == item.answer)


def test_the_table_is_long_and_names_every_item() -> None:
    assert len(ROWS) >= 200
    assert set(TABLE) == set(ITEMS)


@pytest.mark.parametrize(("name", "expected", "said"), ROWS)
def test_the_table(name: str, expected: str | None, said: str) -> None:
    assert read_answer(said, ITEMS[name]) == reading(ITEMS[name], expected)


def test_a_choice_that_repeats_the_right_text_is_right_too() -> None:
    item = choosing("no", "yes", "no ")
    assert read_answer("C", item) == Reading(choice=2, parsed=True, correct=True)


def test_an_answer_ends_at_the_items_stops() -> None:
    item = free("Leonardo", until=("\n", "."))
    assert read_answer("Leonardo. Q: who else\nA: nobody", item).correct


WRAPPINGS = ["{}", " {} ", "\n\n{}\n", "\t{}", "**{}**", "_{}_", "`{}`", "```\n{}\n```", "# {}",
             "> {}", "- {}", "{}<|im_end|>", "{}</s>", "<think>Is it B?</think>{}"]  # fmt: skip


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapping_changes_no_reading_of_the_table(wrapping: str) -> None:
    for name, expected, said in ROWS:
        # Thoughts that never end swallow what is wrapped around them.
        if "<think>" in said or ("\n" in said and "\n" not in wrapping and wrapping[0] in "#>-*_`"):
            continue
        # What continues a prompt is read up to the end of its line, so no line may come before.
        if name == "completion" and "\n" in wrapping.strip():
            continue
        assert read_answer(wrapping.format(said), ITEMS[name]) == reading(ITEMS[name], expected), (
            said
        )


ANY_ITEM = st.sampled_from(sorted(ITEMS)).map(ITEMS.__getitem__)
WORDS = st.lists(
    st.sampled_from(
        ["A", "B", "C", "I", "the", "answer", "is", "option", "(A)", "(B)", "C.", "or", "not",
         "Paris", "Rome", "York", "yes", "no", "3", "12", "=", "-", "\n", ",", ":", "**",
         "\\boxed{", "}", "<think>", "</think>", "1/0", "1,2,3", "答案", "’"]
    ),
    max_size=25,
).map(" ".join)  # fmt: skip


@given(st.text() | WORDS, ANY_ITEM)
def test_no_text_crashes_and_no_reading_is_a_choice_that_is_not_there(
    text: str, item: Item
) -> None:
    result = read_answer(text, item)
    if item.choices:
        assert result.parsed == (result.choice is not None)
        assert result.choice is None or 0 <= result.choice < len(item.choices)
    else:
        assert result.choice is None
    assert result.parsed or not result.correct


@given(WORDS, ANY_ITEM, st.text(" \t\n", max_size=4), st.sampled_from(["{}", "**{}**", "`{}`"]))
def test_surrounding_space_and_emphasis_change_nothing(text, item, space, wrapping) -> None:
    if "\n" in text and wrapping != "{}":
        return
    if "<think>" in text:
        return
    wrapped = space + wrapping.format(text.strip()) + space
    assert read_answer(wrapped, item) == read_answer(text.strip(), item)


@pytest.mark.parametrize(
    ("text", "index"),
    [("3", 2), ("**3**", 2), ("`3`.", 2), ('"3"', 2), ("(3)", 2), ("The answer is **3**.", 2),
     ("The answer is not 3.", None), ("1. two", 1), ("**-3**", None)],
)  # fmt: skip
def test_digits_say_a_choice_in_words_whatever_stands_around_them(text, index) -> None:
    assert read_answer(text, ITEMS["nine"]).choice == index


@given(st.integers(2, 26), st.data())
def test_a_bare_letter_is_always_read(count: int, data: st.DataObject) -> None:
    item = choosing(*(f"choice number {n}" for n in range(count)))
    index = data.draw(st.integers(0, count - 1))
    shape = data.draw(st.sampled_from(["{}", "({})", "{}.", "The answer is {}.", "Answer: {}"]))
    assert read_answer(shape.format(LETTERS[index]), item).choice == index


@pytest.mark.parametrize(
    "piece",
    ["the answer to the question in the image ", "A. ", "((((", "1,", "1/", "\\boxed{", "not "],
)
def test_a_runaway_text_is_read_in_no_time(piece: str) -> None:
    started = time.process_time()
    for item in ITEMS.values():
        read_answer(piece * 500, item)
    assert time.process_time() - started < 5
