"""Two different texts are two different choices, and different answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from talo_export.tasks.answers import read_answer
from talo_export.tasks.check import check_task
from talo_export.tasks.item import LETTERS, Item

ALIKE = [
    ("FF", "Ff", "ff"),
    ("With Love,", "With love,"),
    ("-5", "5", "+5"),
    ("10^-3", "10^3", "103"),
    ("(1, 2]", "[1, 2)", "(1, 2)", "[1, 2]"),
    ("C", "C#", "C++", "F#"),
    ("A+", "A-", "AB", "O"),
    ("It's a dog.", "Its a dog.", "It's a dog!", '"It\'s a dog."'),
    ("x^2", "x2", "x_2", "2^x"),
    ("$5", "5%", "5", "~5"),
    ("m²", "m2", "m₂"),
    ("<b>", "<i>", "<strong>", "b"),
    ("__init__", "init", "_init_", "**init**"),
    ("*p", "p", "&p", "p*"),
    ("2**3", "2*3", "23"),
    ("café", "cafe"),
    ("1/2", "12", "1.2", "1,2"),
    ("dogs'", "dog's", "dogs"),
    ("!", "?", "."),
    ("'a'", '"a"', "`a`"),
    ("the", "a", "an"),
    ("# x", "x", "- x", "> x"),
    ("kJ", "KJ"),
    ("≤ 5", "< 5", ">5", "≥5"),
    ("Fe²⁺", "Fe³⁺", "Fe"),
    ("B♭", "B♯", "Bb"),
    ("f(x)", "f'(x)", "f''(x)"),
    ("&&", "||", "&"),
    ("++i", "i++", "i"),
    ("ß", "ss"),
    ("½", "0.5", "1/2"),
]


def choosing(*choices: str, answer: int = 0, lettered: bool = False) -> Item:
    return Item(id="i", group="i", question="?", choices=choices, answer=answer, lettered=lettered)


@pytest.mark.parametrize("lettered", [True, False])
@pytest.mark.parametrize("choices", ALIKE)
def test_a_choice_said_as_it_stands_is_that_choice_alone(choices, lettered: bool) -> None:
    item = choosing(*choices, lettered=lettered)
    for index, text in enumerate(choices):
        if lettered and text.strip(".'\"`").upper() in LETTERS[: len(choices)]:
            continue  # A bare letter is the letter.
        reading = read_answer(text, item)
        assert (text, reading.choice, reading.correct) == (text, index, index == 0)


@pytest.mark.parametrize("choices", ALIKE)
def test_the_letter_of_a_text_that_only_resembles_the_right_one_is_wrong(choices) -> None:
    for index in range(1, len(choices)):
        assert not read_answer(LETTERS[index], choosing(*choices, lettered=True)).correct


@pytest.mark.parametrize("choices", [c for c in ALIKE if "!" not in "".join(c)])
def test_a_statement_of_a_choice_is_that_choice_alone(choices) -> None:
    item = choosing(*choices)
    for index, text in enumerate(choices):
        said = f"The answer is {text}" + "." * (not text.endswith("."))
        assert read_answer(said, item).choice in (index, None), said


@pytest.mark.parametrize(
    ("choices", "said", "index"),
    [
        (("FF", "Ff"), "The genotype is Ff.", 1),
        (("FF", "Ff"), "It's **FF**", 0),
        (("FF", "Ff"), "I think Ff", 1),
        (("FF", "Ff", "Gg"), "gg", 2),
        (("-5", "5"), "The answer is -5.", 0),
        (("-5", "5"), "−5", 0),
        (("-5", "5"), "–5", 0),
        (("-5", "5"), "It equals 5", 1),
        (("10^-3", "10^3"), "10⁻³", 0),
        (("(1, 2]", "[1, 2)"), "The interval [1, 2) is right", 1),
        (("C", "C#"), "It's C#.", 1),
        (("C", "C#"), "`C#`", 1),
        (("With Love,", "With love,"), "The right closing is 'With love,'.", 1),
        (("Paris", "Rome"), "rome", 1),
        (("$\\frac{1}{2}$", "$\\frac{1}{3}$"), "1/3", 1),
        (("café", "cafe"), "cafe\u0301", 0),
    ],
)
def test_a_looser_reading_finds_the_one_choice_that_is_left(choices, said, index) -> None:
    assert read_answer(said, choosing(*choices)).choice == index


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (("FF", "Ff"), "ff"),
        (("With Love,", "With love,"), "with love"),
        (("-5", "6"), "5"),
        (("C#", "D#"), "C"),
        (("10^3", "10^4"), "103"),
        (("(1, 2]", "[1, 2)"), "1, 2"),
        (("FF", "Ff"), "FF or Ff"),
    ],
)
def test_where_several_choices_or_none_are_left_nothing_is_read(choices, said) -> None:
    assert not read_answer(said, choosing(*choices)).parsed


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("C", "C#"),
        ("C#", "C"),
        ("C", "The answer is C#."),
        ("7", "-7"),
        ("-7", "7"),
        ("7", "minus 7"),
        ("103", "10^3"),
        ("103", "10³"),
        ("Ff", "FF"),
        ("mg", "Mg"),
        ("(1, 2]", "[1, 2)"),
        ("[0, 1]", "0, 1"),
        ("A+", "A"),
        ("x + 1", "x - 1"),
        ("__init__", "init"),
        ("café", "cafe"),
        ("f'", "f"),
    ],
)
def test_a_free_answer_that_only_resembles_the_accepted_one_is_wrong(accepted, said) -> None:
    item = Item(id="i", group="i", question="?", accepted=(accepted,))
    assert not read_answer(said, item).correct
    assert read_answer(accepted, item).correct


def test_only_equal_texts_are_told_as_repeated_choices(write_rows) -> None:
    path = write_rows(
        {"id": "same", "question": "1?", "choices": ["é", "e\u0301 ", "yes"], "answer": 2},
        {"id": "case", "question": "2?", "choices": ["FF", "Ff"], "answer": 0},
        {"id": "sign", "question": "2?", "choices": ["-5", "5"], "answer": 0},
    )
    assert check_task(str(path)).repeated_choices == ("same",)


def test_questions_that_differ_in_a_sign_do_not_contradict(write_rows) -> None:
    path = write_rows(
        {"id": "a", "question": "What is 3 + -5?", "answer": "-2"},
        {"id": "b", "question": "What is 3 + 5?", "answer": "8"},
        {"id": "c", "question": "Which?", "choices": ["FF", "Gg"], "answer": 0},
        {"id": "d", "question": "Which?", "choices": ["Ff", "Gg"], "answer": 0},
    )
    report = check_task(str(path))
    assert report.same_content == report.contradictions == ()


def test_right_answers_that_differ_in_case_alone_contradict(write_rows) -> None:
    choices = {"question": "Which?", "choices": ["FF", "Ff"], "group": "g"}
    path: Path = write_rows(
        {"id": "a", "answer": 0, **choices}, {"id": "b", "answer": 1, **choices}
    )
    assert check_task(str(path)).contradictions == (("a", "b"),)


@pytest.mark.parametrize(
    ("said", "choices", "read"),
    [
        ("minus 5", ("5", "-5"), 1),
        ("negative five", ("5", "-5"), 1),
        ("5 %", ("5", "5%"), None),
        ("1 000", ("1", "1000"), 1),
        ("14004", ("94107", "4004"), None),
    ],
)
def test_a_number_is_the_choice_of_its_value_or_none(
    said: str, choices: tuple[str, ...], read: int | None
) -> None:
    item = Item(id="x", group="x", question="?", choices=choices, answer=0)
    assert read_answer(said, item).choice == read
