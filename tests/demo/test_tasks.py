"""The bundled tasks: well-formed, balanced, always the same, and never seen in training."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from talo_export.demo.bundled import demo_task_descriptions, demo_task_names, load_demo_task
from talo_export.errors import UsageError
from talo_export.tasks.item import LETTERS

TASKS = demo_task_names()


def test_there_are_at_least_eight_tasks_and_maps_is_the_first() -> None:
    assert len(TASKS) >= 8
    assert TASKS[0] == "maps"


def test_every_task_has_one_line_about_it() -> None:
    descriptions = demo_task_descriptions()
    assert tuple(descriptions) == TASKS
    assert all(line and "\n" not in line for line in descriptions.values())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_a_few_hundred_well_formed_items(name: str) -> None:
    task = load_demo_task(name)
    assert task.name == name
    assert len(task) >= 300
    for item in task.items:
        assert item.question
        assert len(set(item.choices)) == len(item.choices) >= 2
        assert item.answer is not None
        assert 0 <= item.answer < len(item.choices)
        assert item.images[0].open().size == (96, 96)


@pytest.mark.parametrize("name", TASKS)
def test_every_letter_is_right_equally_often(name: str) -> None:
    counts = Counter(item.answer for item in load_demo_task(name).items)
    assert len(set(counts.values())) == 1


def test_ids_and_pictures_are_distinct_over_all_tasks() -> None:
    items = [item for name in TASKS for item in load_demo_task(name).items]
    assert len({item.id for item in items}) == len(items)
    for name in TASKS:
        pictures = [item.images[0].sha256 for item in load_demo_task(name).items]
        assert len(set(pictures)) == len(pictures)


def test_items_with_the_same_picture_share_a_group_and_only_those() -> None:
    items = [item for name in TASKS for item in load_demo_task(name).items]
    pictures: dict[str, set[str]] = {}
    for item in items:
        pictures.setdefault(item.group, set()).add(item.images[0].sha256)
    assert all(len(found) == 1 for found in pictures.values())


def test_a_task_is_the_same_in_another_process() -> None:
    line = (
        "from talo_export.demo.bundled import load_demo_task as load;"
        "print(load('maps').fingerprint)"
    )
    other = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == load_demo_task("maps").fingerprint


def test_the_demo_needs_no_torch_to_be_asked_for_its_tasks() -> None:
    line = (
        "import sys; from talo_export.demo.bundled import load_demo_task; load_demo_task('count'); "
        "print('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    other = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == "False"


def test_an_unknown_task_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'mapz'.*maps, positions"):
        load_demo_task("mapz")


def test_in_maps_a_guess_stands_before_every_question_and_is_wrong() -> None:
    letters = Counter()
    for item in load_demo_task("maps").items:
        guess = re.match(r"I think it is ([A-D])\.\n", item.question or "")
        assert guess is not None
        assert guess[1] != LETTERS[item.answer or 0]
        letters[guess[1]] += 1
    assert min(letters.values()) > 50


def test_another_draw_of_a_task_asks_about_other_drawings() -> None:
    pictures = [
        {item.group for item in load_demo_task("maps", draw).items} for draw in ("", "second")
    ]
    assert len(pictures[0] & pictures[1]) < 5
