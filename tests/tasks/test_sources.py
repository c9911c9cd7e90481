"""From the text after --task to tasks."""

from __future__ import annotations

import pytest

from talo_export.errors import UsageError
from talo_export.tasks.sources import load_task, task_references

ROWS = [
    {"id": "1", "question": "?", "answer": "x", "category": "warm"},
    {"id": "2", "question": "?", "answer": "x", "category": "cold"},
]


def test_a_file_is_a_task(write_rows) -> None:
    path = write_rows(*ROWS)
    assert len(load_task(str(path))) == 2
    assert load_task(f"{path}:warm").name == "quiz/warm"


def test_a_star_gives_several_tasks(write_rows) -> None:
    path = write_rows(*ROWS)
    tasks = [load_task(reference) for reference in task_references(f"{path}:*")]
    assert [task.name for task in tasks] == ["quiz/cold", "quiz/warm"]


def test_a_file_that_is_not_there_is_told_as_a_file(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no task file .*gone\.jsonl"):
        load_task(str(tmp_path / "gone.jsonl"))


def test_an_unknown_name_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no task and no file 'zzzzzzzz'"):
        load_task("zzzzzzzz")
