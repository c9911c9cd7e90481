"""The example tasks are what their page says."""

from __future__ import annotations

from pathlib import Path

from talo_export.tasks.check import check_task
from talo_export.tasks.sources import load_task, task_references

EXAMPLES = Path(__file__).parents[2] / "examples" / "tasks"


def test_the_quiz_has_two_categories_and_no_warnings() -> None:
    tasks = [load_task(reference) for reference in task_references(f"{EXAMPLES / 'quiz.csv'}:*")]
    assert [(task.name, len(task)) for task in tasks] == [("quiz/metals", 3), ("quiz/planets", 3)]
    assert check_task(str(EXAMPLES / "quiz.csv")).warnings == ()


def test_the_yaml_asks_for_capitals_as_verbatim_prompts() -> None:
    report = check_task(str(EXAMPLES / "capitals.yaml"))
    assert (report.name, report.free_form) == ("capitals", 0)
    assert report.items == report.multiple_choice > 50
