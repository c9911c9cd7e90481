"""Columns of choices: plain ones, named ones, and those that would be missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.check import check_task
from talo_export.tasks.columns import parse_columns
from talo_export.tasks.item import Item
from talo_export.tasks.sources import load_task


def item_of(path: Path, header: str, row: str, columns: str | None = None) -> Item:
    file = path / "quiz.csv"
    file.write_text(f"{header}\n{row}\n")
    return load_task(str(file), columns=parse_columns(columns) if columns else None).items[0]


@pytest.mark.parametrize(
    "header",
    [
        "question,A,B,answer",
        "question,a,b,answer",
        "Question,Option A,Option B,Answer",
        "question,option_a,option_b,answer",
        "question,optionA,optionB,answer_key",
        "question,opa,opb,answerKey",
        "question,choice_a,choice_b,correct_answer",
        "question,choice1,choice2,answer",
        "question,(A),(B),answer",
        "question,1,2,answer",
        "question,ending0,ending1,answer",
        "question,sol1,sol2,answer",
    ],
)
def test_choices_stand_in_columns_of_a_plain_name(tmp_path: Path, header: str) -> None:
    item = item_of(tmp_path, header, "What?,red,blue,B")
    assert (item.choices, item.answer) == (("red", "blue"), 1)


@pytest.mark.parametrize("columns", ["A=first,B=second", "choices=first+second"])
def test_columns_of_choices_are_named(tmp_path: Path, columns: str) -> None:
    item = item_of(tmp_path, "question,first,second,answer", "What?,red,blue,B", columns)
    assert (item.choices, item.answer) == (("red", "blue"), 1)


def test_a_named_column_may_have_a_plus_in_its_name(tmp_path: Path) -> None:
    row = "What?,\"['red', 'blue']\",B"
    assert item_of(tmp_path, "question,x+y,answer", row, "choices=x+y").choices == ("red", "blue")


def test_a_list_of_wrong_answers_and_the_right_one_are_choices_together(write_rows) -> None:
    path = write_rows({"question": "?", "wrong": ["red", "blue"], "right": "green"})
    task = load_task(str(path), columns=parse_columns("choices=wrong+right,answer=right"))
    assert (task.items[0].choices, task.items[0].answer) == (("red", "blue", "green"), 2)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("question,distractor1,distractor2,correct_answer", "?,red,blue,green",
         "choices=distractor1+distractor2+correct_answer"),
        ("question,foil_a,foil_b,answer", "?,red,blue,B", "choices=foil_a+foil_b+answer"),
        ("question,x_a,x_b,answer", "?,red,blue,B", "choices=x_a+x_b"),
        ("question,answer1,answer2,correct_answer", "?,red,blue,red", "choices=answer1+answer2"),
        ("question,answers,answer", "?,\"['red', 'blue']\",B", "answers that are letters (B)"),
        ("question,选项A,选项B,answer", "?,red,blue,B", "choices=选项A+选项B"),
        ("question,x1,x2,answer", "?,red,blue,2", "choices=x1+x2"),
        ("question,first,second,answer", "?,red,blue,B", "answers that are letters (B)"),
        ("question,alternatives,answer", "?,red or blue,red", "choices=alternatives"),
    ],
)  # fmt: skip
def test_what_looks_like_choices_and_is_not_read_is_refused(
    tmp_path: Path, header: str, row: str, words: str
) -> None:
    with pytest.raises(TaloError) as caught:
        item_of(tmp_path, header, row)
    assert words in str(caught.value)


def test_answers_that_are_all_letters_without_choices_are_refused(write_rows) -> None:
    rows = [{"question": f"{n}?", "answer": letter} for n, letter in enumerate("ACB")]
    with pytest.raises(TaloError, match=r"letters \(A, B, C\), but no choices"):
        load_task(str(write_rows(*rows)))
    listed = [row | {"answer": [row["answer"]]} for row in rows]
    assert load_task(str(write_rows(*listed))).items[1].accepted == ("C",)


def test_a_letter_may_be_a_free_answer(write_rows) -> None:
    rows = [{"question": "Which language?", "answer": "C"}, {"question": "Vitamin?", "answer": "D"}]
    assert load_task(str(write_rows(*rows))).items[0].accepted == ("C",)


def test_options_inside_the_question_are_refused_where_a_letter_answers_it(write_rows) -> None:
    path = write_rows({"question": "Which?\nA. red\nB. blue", "answer": "B"})
    with pytest.raises(TaloError, match="field 'choices': missing, although the question lists"):
        load_task(str(path))


def test_two_sets_of_columns_of_choices_are_refused(tmp_path: Path) -> None:
    header = "question,A,B,option_a,option_b,answer"
    with pytest.raises(TaloError, match=r"in A, B and in option_a, option_b.*choices=A\+B"):
        item_of(tmp_path, header, "?,x,y,p,q,B")
    assert item_of(tmp_path, header, "?,x,y,p,q,B", "choices=A+B").choices == ("x", "y")


def test_a_missing_column_is_told_once_with_those_that_there_are(write_rows) -> None:
    path = write_rows(*[{"stem": f"{n}?", "gold": "x"} for n in range(20)])
    with pytest.raises(TaloError) as caught:
        load_task(str(path))
    assert str(caught.value) == (
        f"{path} has no column 'question', only gold, stem: name it with --columns question=COLUMN."
    )


def test_check_names_the_columns_that_it_did_not_read(write_rows) -> None:
    path = write_rows({"question": "?", "answer": "x", "source": "book", "note": None})
    assert check_task(str(path)).columns_not_read == ("source", "note")


def test_a_column_below_another_counts_as_read(write_rows) -> None:
    row = {
        "question": {
            "stem": "?",
            "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}],
        },
        "answerKey": "B",
    }
    named = parse_columns("question=question.stem,choices=question.choices")
    task = load_task(str(write_rows(row)), columns=named)
    assert (task.items[0].choices, task.items[0].answer, task.unread) == (("x", "y"), 1, ())


def test_an_entry_of_a_list_is_named_by_its_number(write_rows) -> None:
    """As conversations of LLaVA's have it."""
    turns = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]
    named = parse_columns("question=conversations.0.value,answer=conversations.1.value")
    task = load_task(str(write_rows({"conversations": turns})), columns=named)
    assert (task.items[0].question, task.items[0].accepted) == ("Why?", ("Because.",))


FEELINGS = [{"question": f"{n}?", "answer": ("sad", "glad")[n % 2]} for n in range(6)]


def test_few_answers_without_choices_are_a_note_of_check(write_rows) -> None:
    (note,) = check_task(str(write_rows(*FEELINGS))).notes
    assert note.startswith("There are no choices and 2 different answers (glad, sad)")
    assert "--choices-from answer" in note
    assert check_task(str(write_rows(*FEELINGS[:2]))).notes == ()


def test_all_answers_become_choices_of_every_item(write_rows) -> None:
    task = load_task(str(write_rows(*FEELINGS)), choices_from="answer")
    assert {item.choices for item in task.items} == {("glad", "sad")}
    assert [item.answer for item in task.items[:2]] == [1, 0]
    assert task.notes == ()


@pytest.mark.parametrize(
    ("rows", "choices_from", "words"),
    [
        ([{"question": "?", "choices": ["x", "y"], "answer": 0}], "answer", "choices of its own"),
        (FEELINGS, "category", "--choices-from answer, not category"),
        (FEELINGS[:1], "answer", "has 1 different answers"),
    ],
)
def test_choices_that_cannot_be_made_of_answers_are_wrong_usage(
    write_rows, rows: list[dict[str, Any]], choices_from: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        load_task(str(write_rows(*rows)), choices_from=choices_from)


@pytest.mark.parametrize(
    "header", ["question,image_1,image_2,answer", "question,step1,step2,answer"]
)
def test_numbered_columns_of_something_else_are_none(tmp_path: Path, header: str) -> None:
    assert item_of(tmp_path, header, "How many?,a,b,7").accepted == ("7",)


def test_choices_that_carry_letters_in_another_order_are_told(write_rows) -> None:
    row = {"question": "?", "choices": ["B) red", "A) blue"], "answer": "A"}
    with pytest.raises(TaloError, match=r"carry letters in another order \(B, A\)"):
        load_task(str(write_rows(row)))
    row["choices"] = ["A) red", "B) blue"]
    assert load_task(str(write_rows(row))).items[0].answer == 0


def test_choices_of_a_list_spelt_by_numpy_are_told(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match="field 'choices'"):
        item_of(tmp_path, "question,choices,answer", f"?,{json.dumps('[x y]')},A")
