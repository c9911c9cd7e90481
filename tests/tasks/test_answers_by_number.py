"""Which choice an answer means, by one rule for all rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from talo_export.errors import TaloError
from talo_export.tasks.check import check_task
from talo_export.tasks.columns import parse_columns
from talo_export.tasks.sources import load_task

NUMBERS = ["10", "2", "7", "12"]
WORDS = ["oak", "elm", "fir", "yew"]


def answers(path: Path, columns: str | None = None) -> list[int | None]:
    named = parse_columns(columns) if columns else None
    return [item.answer for item in load_task(str(path), columns=named).items]


def rows(choices: list[Any], *given: Any, name: str = "answer") -> list[dict[str, Any]]:
    return [{"question": f"{n}?", "choices": choices, name: value} for n, value in enumerate(given)]


@pytest.mark.parametrize("kind", [str, int])
def test_numbers_are_indices_where_only_these_fit_all_rows(write_rows, kind: type) -> None:
    assert answers(write_rows(*rows(NUMBERS, kind(3), kind(2), kind(0)))) == [3, 2, 0]


@pytest.mark.parametrize("kind", [str, int, float])
def test_numbers_are_texts_where_only_these_fit_all_rows(write_rows, kind: type) -> None:
    assert answers(write_rows(*rows(NUMBERS, kind(12), kind(2), kind(7)))) == [3, 1, 2]


def test_a_word_among_the_answers_shows_that_numbers_are_texts(write_rows) -> None:
    path = write_rows(*rows(["2", "0", "none"], "2", "0", "none"))
    assert answers(path) == [0, 1, 2]


@pytest.mark.parametrize("value", ["2", 2, 2.0])
def test_numbers_that_are_indices_and_texts_are_refused_saying_how_to_name_them(
    write_rows, value: Any
) -> None:
    path = write_rows(*rows(["1", "2", "0"], value))
    with pytest.raises(TaloError, match=r"could mean B \(2\) and C \(0\)") as caught:
        load_task(str(path))
    assert "answer_index=COLUMN (from 0)" in str(caught.value)
    assert answers(path, "answer_index=answer") == [2]
    assert answers(path, "answer_number=answer") == [1]
    assert answers(path, "answer_text=answer") == [1]


def test_numbers_that_no_one_reading_fits_are_refused(write_rows) -> None:
    path = write_rows(*rows(["7", "8"], "8", "0"))
    with pytest.raises(TaloError, match="2 problems") as caught:
        load_task(str(path))
    assert "line 1, field 'answer': '8' is one of the numbers that fit no one reading" in str(
        caught.value
    )


def test_choices_written_as_decimals_are_matched_by_their_number(write_rows) -> None:
    with pytest.raises(TaloError, match="could mean A"):
        load_task(str(write_rows(*rows([1.0, 2.0], 1))))


def test_letters_that_are_texts_too_follow_the_rest_of_the_file(write_rows) -> None:
    letters, words = rows(["B", "x"], "B"), rows(["p", "q"], "A")
    assert answers(write_rows(*letters, words[0] | {"question": "!"})) == [1, 0]


@pytest.mark.parametrize(
    "labels", [["1", "2", "3", "4"], ["A", "B", "C", "D"], ["w", "x", "y", "z"]]
)
def test_labels_of_the_choices_are_what_answers_name(write_rows, labels: list[str]) -> None:
    """As ARC and OpenBookQA have them."""
    by_list = {"text": WORDS, "label": labels}
    by_record = [{"label": key, "text": text} for key, text in zip(labels, WORDS, strict=True)]
    by_key = dict(zip(labels, WORDS, strict=True))
    for choices in (by_list, by_record, by_key):
        path = write_rows(*rows(choices, labels[0], labels[2], name="answerKey"))
        assert answers(path) == [0, 2]
        assert load_task(str(path)).items[0].choices == tuple(WORDS)


def test_an_answer_that_is_no_label_is_told(write_rows) -> None:
    path = write_rows(*rows({"text": WORDS[:2], "label": ["1", "2"]}, "1", "0"))
    with pytest.raises(TaloError, match=r"line 2, field 'answer': '0' is none of the labels 1, 2"):
        load_task(str(path))


@pytest.mark.parametrize(
    ("given", "expected"), [(["1", "2"], [0, 1]), (["0", "1"], [0, 1]), ([1, 0], [1, 0])]
)
def test_numbers_beside_numbered_columns_count_as_the_file_shows(
    tmp_path: Path, given: list[Any], expected: list[int]
) -> None:
    """Winogrande counts from 1, COPA from 0."""
    path = tmp_path / "quiz.csv"
    lines = [f"{n}?,oak,elm,{value}" for n, value in enumerate(given)]
    path.write_text("question,option1,option2,answer\n" + "\n".join(lines))
    assert answers(path) == expected


def test_numbers_beside_numbered_columns_that_show_neither_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "quiz.csv"
    path.write_text("question,option1,option2,answer\n?,oak,elm,1\n")
    with pytest.raises(TaloError, match="could mean A"):
        load_task(str(path))


def test_two_columns_that_say_the_answer_must_agree(write_rows) -> None:
    same = rows(WORDS, "B")[0] | {"answer_index": 1}
    assert answers(write_rows(same)) == [1]
    with pytest.raises(TaloError, match="'B' is another choice than '2' of 'answer_index'"):
        load_task(str(write_rows(same | {"answer_index": 2})))


@pytest.mark.parametrize("given", [[1, 2, 3, 1], ["1", "2", "3", "3"]])
def test_answers_that_may_count_from_1_are_a_warning(write_rows, given: list[Any]) -> None:
    (note,) = check_task(str(write_rows(*rows(WORDS, *given)))).notes
    assert "none of them 0" in note
    assert "answer_number=COLUMN" in note


def test_answers_with_a_0_or_of_letters_are_no_warning(write_rows) -> None:
    for given in ([1, 2, 0], ["B", "C", "D"]):
        assert check_task(str(write_rows(*rows(WORDS, *given)))).notes == ()


def test_an_answer_of_n_says_that_it_may_count_from_1(write_rows) -> None:
    path = write_rows(*rows(WORDS, 1, 4))
    with pytest.raises(TaloError, match=r"none of the 4 choices.*where they count from 1"):
        load_task(str(path))
    assert answers(path, "answer_number=answer") == [0, 3]
