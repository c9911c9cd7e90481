"""The answers the demo calls right are right."""

from __future__ import annotations

import itertools
import random

import pytest

from talo_export.demo.bundled import held_out_questions
from talo_export.demo.drawing import Line, Scene
from talo_export.demo.places import askable, places
from talo_export.demo.questions import (
    area,
    borders,
    capital,
    colour_of_state,
    continent,
    count,
    direction_of_state,
    farthest,
    line_crossing,
)


def scene(*marks: tuple[str, str], map_name="us", line: Line | None = None) -> Scene:
    return Scene(map_name, marks, 0, 1000, (0, 0), line)


def answers(kind, picture: Scene) -> dict[str, str]:
    """Text -> answer of everything a kind can ask about a scene."""
    found = (kind(random.Random(seed), picture) for seed in range(60))
    return {question.text: question.answer for question in found if question is not None}


FOUR = scene(("Washington", "red"), ("Florida", "blue"), ("Kansas", "green"), ("Maine", "yellow"))


def test_farthest_by_name_and_by_colour() -> None:
    told = answers(farthest, FOUR)
    assert told["Which of these states is farthest south?"] == "Florida"
    assert told["Which of these states is farthest west?"] == "Washington"
    assert told["Which of these states is farthest east?"] == "Maine"
    assert told["Which of these coloured states is farthest south?"] == "blue"


def test_farthest_does_not_ask_what_is_too_close_to_call() -> None:
    close = scene(("Colorado", "red"), ("Utah", "blue"), ("Texas", "green"), ("Florida", "yellow"))
    assert "Which of these states is farthest north?" not in answers(farthest, close)


def test_a_line_crosses_the_state_it_runs_through() -> None:
    across = scene(*FOUR.marks, line=Line("latitude", 38.5))
    assert answers(line_crossing, across) == {
        "Which state does the line of latitude cross?": "green"
    }


def test_direction_is_read_from_the_second_place_to_the_first() -> None:
    told = answers(direction_of_state, scene(("Oregon", "red"), ("Wisconsin", "blue")))
    assert told["In which direction is the red state from the blue state?"] == "west"
    assert told["In which direction is the blue state from the red state?"] == "east"


def test_the_largest_of_three() -> None:
    three = scene(("Texas", "red"), ("Ohio", "blue"), ("Nevada", "green"))
    assert answers(area, three) == {"Which of these states is the largest?": "red"}


def test_sharing_a_border() -> None:
    three = scene(("Texas", "red"), ("Oklahoma", "blue"), ("Maine", "green"))
    told = answers(borders, three)
    assert told["Does the red state border the blue state?"] == "yes"
    assert told["Does the red state border the green state?"] == "no"


def test_count_colour_capital_and_continent() -> None:
    assert answers(count, FOUR) == {"How many states are coloured?": "4"}
    assert answers(colour_of_state, FOUR)["Which colour is Kansas?"] == "green"
    assert answers(capital, FOUR)["What is the capital of the green state?"] == "Topeka"
    world = scene(("Kenya", "red"), map_name="world")
    assert answers(continent, world) == {"On which continent is the red country?": "Africa"}


@pytest.mark.parametrize("name", ["maps", "states", "colours", "capitals", "count"])
def test_a_wrong_choice_is_never_the_answer(name: str) -> None:
    for _, question in itertools.islice(held_out_questions(name), 100):
        assert question.answer not in question.wrong


def test_the_48_contiguous_states_have_a_capital_each() -> None:
    states = places("us")
    assert len(states) == 48
    assert len({place.capital for place in states.values()}) == 48
    assert len(askable("us")) >= 30


def test_areas_are_those_of_the_real_places() -> None:
    # Census Bureau, total area: Texas 695,662 km2; Kansas 213,100 km2 (coast drawn coarsely).
    assert places("us")["Texas"].area_km2 == pytest.approx(695_662, rel=0.03)
    assert places("us")["Kansas"].area_km2 == pytest.approx(213_100, rel=0.01)
