"""Rows and cells as files hold them: what is text, and the cause where a file cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from talo_export.errors import TaloError
from talo_export.tasks.files import load_task_file

ODD = "a\u2028b\u0085c\x0bd\x0ce"
DEEP = "[" * 200_000 + "]" * 200_000
"""Deeper than any Python reads: 3.11 gives up at 1,000, 3.13 far later."""


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_only_line_feeds_and_returns_end_a_row(tmp_path: Path, ending: str, quote: str) -> None:
    path = tmp_path / f"quiz.{ending}"
    rows = [["question", "A", "B", "answer"], [f"{quote}{ODD}{quote}", "red", "blue", "A"]]
    lines = [("," if ending == "csv" else "\t").join(row) for row in rows]
    path.write_bytes("\r\n".join(lines).encode())
    assert load_task_file(path).items[0].question == ODD


def test_a_quoted_cell_keeps_its_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "quiz.csv"
    path.write_bytes(b'question,answer\r\n"two\r\nlines",x\r\n')
    assert load_task_file(path).items[0].question == "two\r\nlines"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("quiz.csv", "question;answer\n?;x\n", "semicolons between its cells, not commas"),
        ("quiz.csv", "question\tanswer\n?\tx\n", "not commas: name it .tsv"),
        ("quiz.tsv", "question,answer\n?,x\n", "commas between its cells, not tabs: name it .csv"),
        ("quiz.csv", "question|answer\n?|x\n", "bars between its cells"),
        ("quiz.csv", "question,answer\n?,x,\n", "line 2: 3 cells, but the header has 2"),
        ("quiz.json", '{"question": "?"}\n{"question": "!"}\n', "an object a line: name it .jsonl"),
        ("quiz.jsonl", '[{"question": "?",\n"answer": "x"}]', "one JSON list: name it .json"),
        ("quiz.json", '[{"question": "?",\n}]',
         "line 1: not valid JSON (a comma before '}', column 18)"),
        ("quiz.json", '[{"question": "?"},]', "a comma before ']'"),
        ("quiz.jsonl", '{"answer": "x"},', "line 1: not valid JSON (a comma after the object"),
        ("quiz.jsonl", '{"answer": [1, 2,]}', "line 1: not valid JSON (a comma before ']'"),
        ("quiz.jsonl", '{"answer": "a", "answer": "b"}', "line 1, field 'answer': given twice"),
        ("quiz.jsonl", f'{{"answer": {"9" * 5000}}}', "line 1: a number of 5,000 digits"),
        pytest.param("quiz.jsonl", f'{{"answer": {DEEP}}}',
                     "line 1: lists or objects nested too deeply", id="deep in a line"),
        pytest.param("quiz.json", DEEP, "lists or objects nested too deeply", id="deep list"),
        ("quiz.jsonl", r'{"question": "a \ud83d?", "answer": "x"}',
         r"line 1, field 'question': \ud83d is half of a character"),
        ("quiz.jsonl", r'{"question": "?", "answer": ["\udc00"]}', "line 1, field 'answer': "),
        ("quiz.jsonl", r'{"question": {"\ud83d": 1}}', r"field '\ud83d': \ud83d is half"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_seems_is_told_with_the_cause(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TaloError) as caught:
        load_task_file(tmp_path / name)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_told(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "quiz.csv"
    path.write_bytes("question,answer\né?,x\n".encode(encoding))
    with pytest.raises(TaloError, match="not UTF-8"):
        load_task_file(path)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, ending: str) -> None:
    content = {
        "csv": "question,answer\n?,x\n",
        "jsonl": '{"question": "?", "answer": "x"}',
        "json": '[{"question": "?", "answer": "x"}]',
    }
    path = tmp_path / f"quiz.{ending}"
    path.write_bytes(content[ending].encode("utf-8-sig"))
    assert load_task_file(path).items[0].question == "?"


def test_a_number_of_many_digits_in_a_cell_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "quiz.csv"
    path.write_text(f"question,A,B,answer\n?,{'9' * 5000},x,{'9' * 5000}\n")
    assert load_task_file(path).items[0].answer == 0


def test_deep_lists_in_cells_are_texts_or_told(tmp_path: Path) -> None:
    path = tmp_path / "quiz.csv"
    path.write_text(f"question,choices,answer\n?,{'[' * 9000},x\n")
    with pytest.raises(TaloError, match="field 'choices': a list is needed"):
        load_task_file(path)


def test_a_column_without_a_name_is_not_read(tmp_path: Path) -> None:
    """As pandas writes its index."""
    path = tmp_path / "quiz.csv"
    path.write_text(",question,answer\n0,?,x\n")
    task = load_task_file(path)
    assert (len(task), task.unread) == (1, ("column 1",))
