"""No training example shows a task's drawing or asks what a task asks."""

from __future__ import annotations

import itertools
import random
import re
from types import ModuleType

import pytest

from talo_export.demo.bundled import ITEMS, demo_task_names, held_out_questions
from talo_export.demo.drawing import Scene
from talo_export.demo.questions import (
    TRAINED_KINDS,
    UNTRAINED_KINDS,
    is_held_out,
    mark_key,
    order_keys,
)

LESSONS = range(0, 40_000, 25)
"""A sample of all phases of the training."""
BY_DRAWING = ("colours", "capital-colours")
NO_QUESTION = ("Describe the map", "List the ", "Name the options", "Which option is ")
"""How captions, lists and exercises in letters begin."""


@pytest.fixture(scope="module")
def lessons(curriculum: ModuleType) -> list[tuple[Scene, tuple]]:
    return [curriculum.lesson(0, number) for number in LESSONS]


def test_a_fifth_of_all_keys_is_held_out() -> None:
    share = sum(is_held_out(f"key {number}") for number in range(5000)) / 5000
    assert share == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("name", demo_task_names())
def test_a_task_uses_only_held_out_drawings_and_held_out_keys(name: str) -> None:
    for scene, question in itertools.islice(held_out_questions(name), ITEMS):
        assert is_held_out(scene.identity)
        assert is_held_out(question.key) or name in BY_DRAWING


def test_a_colour_is_the_answer_as_often_where_its_place_is_held_out_in_it() -> None:
    for name in BY_DRAWING:
        asked = itertools.islice(held_out_questions(name), ITEMS)
        share = sum(question.held_out for _, question in asked) / ITEMS
        assert share == pytest.approx(0.2, abs=0.08)


def test_training_uses_no_held_out_drawing(
    lessons: list[tuple[Scene, tuple]], curriculum: ModuleType
) -> None:
    guessed = [curriculum.guessed_lesson(0, number)[:2] for number in range(400)]
    assert not any(is_held_out(scene.identity) for scene, _ in [*lessons, *guessed])


def test_training_asks_no_held_out_question(
    lessons: list[tuple[Scene, tuple]], monkeypatch: pytest.MonkeyPatch, curriculum: ModuleType
) -> None:
    # Everything training asks passes through the kinds, so we listen in on what they return.
    asked = []

    def listening(kind):
        def listen(rng: random.Random, scene: Scene):
            question = kind(rng, scene)
            if question is not None:
                asked.append(question)
            return question

        return listen

    monkeypatch.setattr(curriculum, "KINDS", tuple(map(listening, curriculum.KINDS)))
    seen_held_out = 0
    lessons = [(curriculum.lesson, n) for n in (*range(0, 16_000, 160), *range(20_000, 20_200))]
    for make, number in [*lessons, *((curriculum.guessed_lesson, n) for n in range(100))]:
        asked.clear()
        _, turns, *_ = make(1, number)
        texts = (re.sub(r"^I think it is [A-D]\.\n", "", turn.user) for turn in turns)
        first_lines = {text.split("\n")[0] for text in texts}
        told = {line for line in first_lines if not line.startswith(NO_QUESTION)}
        allowed = {question.text for question in asked if not question.held_out}
        seen_held_out += sum(question.held_out for question in asked)
        assert all(text in allowed or text.startswith("Which state does the line") for text in told)
    assert seen_held_out > 100


def test_no_caption_tells_a_held_out_place_in_its_colour(
    lessons: list[tuple[Scene, tuple]],
) -> None:
    told = 0
    for _, turns in lessons:
        for turn in turns:
            if turn.user != "Describe the map.":
                continue
            for colour, place in re.findall(r"(\w+) ([A-Z][\w ]+)", turn.answer):
                told += 1
                assert not is_held_out(mark_key(place, colour))
    assert told > len(LESSONS)


def test_no_list_orders_places_that_a_task_compares(
    lessons: list[tuple[Scene, tuple]],
) -> None:
    lists = [
        (turn.user, turn.answer.rstrip(".").split(", "), scene)
        for scene, turns in lessons
        for turn in turns
        if turn.user.startswith("List the ")
    ]
    for user, told, scene in lists:
        names = {colour: name for name, colour in scene.marks}
        places_told = [names.get(word, word) for word in told]
        assert not any(
            map(is_held_out, order_keys(places_told, by_size=user.endswith("to small.")))
        )
        assert not any(
            is_held_out(mark_key(name, colour))
            for name, colour in scene.marks
            if name in places_told
        )
    assert len(lists) > len(LESSONS) / 4


def test_two_tasks_are_of_kinds_training_never_asks(lessons: list[tuple[Scene, tuple]]) -> None:
    assert not set(UNTRAINED_KINDS) & set(TRAINED_KINDS)
    texts = [turn.user for _, turns in lessons for turn in turns]
    assert not any("with the capital" in text for text in texts)
    assert not any(re.match("In which direction is the .* country", text) for text in texts)
