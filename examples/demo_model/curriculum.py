"""What the demo model is trained on: pictures, and several short conversations about each."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from functools import partial

from exercises import Turn, exercise

from talo_export.demo.bundled import user_text, with_guess
from talo_export.demo.drawing import Scene, sketch
from talo_export.demo.places import Place, places
from talo_export.demo.questions import (
    DIRECTIONS,
    TRAINED_KINDS,
    Kind,
    area,
    borders,
    colour_of_state,
    direction_of_state,
    farthest,
    is_held_out,
    line_crossing,
    mark_key,
    order_keys,
)
from talo_export.tasks.item import LETTERS

TURNS = 10
"""Conversations about one picture; each sees the picture and itself only."""
EXERCISES = 1
"""Of them, exercises from stage one, which have nothing to do with the picture."""
OPEN_SHARE = 0.35
"""Share of the questions asked without choices, answered in words."""
ONE_MARK, TWO_MARKS = 8000, 24_000
"""Until these lessons a map has one mark, then at most two: what a mark means is learnt before
which of them a question is about."""
MOST_MARKS = 6
WORLD_SHARE = 0.25
LINE_SHARE = 0.3
GUESS_SHARE = 0.6
"""Share of the pictures in the last stage before whose questions the asker says what they think."""
RIGHT_GUESSES = 0.97
"""How often they are right."""
UNSEEN_SHARE = 0.5
"""Of the pictures with guesses, those that are grey: there is nothing else to go by."""
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}
MARKS = (1, 2, 3, 4, 4, 4, 5, 6)
KINDS: tuple[Kind, ...] = (
    *TRAINED_KINDS,
    partial(colour_of_state, fewest=1),
    *10 * (partial(farthest, fewest=2),),
    *2 * (partial(direction_of_state, named=True),),
    partial(area, named=True),
    partial(borders, named=True),
)
"""What is asked. Two kinds are asked about fewer marks too, three by name as well as by colour; and
where a place lies, which the task `maps` is about, more often than the rest."""


def training_scene(rng: random.Random, most_marks: int = MOST_MARKS) -> Scene:
    """A random drawing that no bundled task uses."""
    while True:
        world = rng.random() < WORLD_SHARE
        line = not world and most_marks >= 4 and rng.random() < LINE_SHARE
        marks = 4 if line else rng.choice(MARKS[:-1] if world else MARKS)
        marks = min(marks, most_marks)
        scene = sketch(rng, "world" if world else "us", marks, line=line)
        if not is_held_out(scene.identity):
            return scene


def turns_about(
    rng: random.Random,
    scene: Scene,
    kinds: tuple[Kind, ...],
    exercises: int,
    guessed: bool = False,
) -> Iterator[Turn]:
    """Conversations about a scene, none of them held out; few where little is left to ask.

    `guessed`: a guess before every question, and choices to every question.
    """
    for told in () if guessed else (caption(scene), listing(rng, scene)):
        if told is not None:
            yield told
    for _ in range(exercises):
        yield exercise(rng)
    for _ in range(20 * TURNS):
        kind = line_crossing if scene.line and rng.random() < 0.4 else rng.choice(kinds)
        question = kind(rng, scene)
        if question is None or question.held_out:
            continue
        if question.open and not guessed and rng.random() < OPEN_SHARE:
            yield Turn(question.text, question.answer)
            continue
        choices = rng.sample((question.answer, *question.wrong), 1 + len(question.wrong))
        letters = LETTERS[: len(choices)]
        letter = letters[choices.index(question.answer)]
        text = question.text
        if guessed:
            right = rng.random() < RIGHT_GUESSES
            text = with_guess(text, letter if right else rng.choice(letters.replace(letter, "")))
        yield Turn(user_text(text, tuple(choices)), letter)


def told_marks(scene: Scene) -> list[tuple[Place, str]]:
    """The marks that training may talk about: no place in a colour whose name is held out."""
    return [
        (places(scene.map)[name], colour)
        for name, colour in scene.marks
        if not is_held_out(mark_key(name, colour))
    ]


def caption(scene: Scene) -> Turn | None:
    """All marks in words, west to east, but for a place in a colour whose name is held out.

    None where nothing is left to tell.
    """
    marks = sorted(told_marks(scene), key=lambda mark: mark[0].centre)
    told = [f"{colour} {place.name}" for place, colour in marks]
    return Turn("Describe the map.", ", ".join(told) + ".") if told else None


def listing(rng: random.Random, scene: Scene) -> Turn | None:
    """Names or colours of up to four marks in the order of their positions or sizes.

    None where there is no order, or where it would answer a held-out question.
    """
    marks = told_marks(scene)[:4]
    by_size = rng.random() < 0.3
    keys = order_keys((place.name for place, _ in marks), by_size=by_size)
    if len(marks) < 2 or any(map(is_held_out, keys)):
        return None
    if by_size:
        order = "large to small"
        marks.sort(key=lambda mark: -mark[0].area_km2)
    else:
        start, goal = rng.choice(list(OPPOSITE.items()))
        axis, sign = DIRECTIONS[goal]
        order = f"{start} to {goal}"
        marks.sort(key=lambda mark: sign * mark[0].centre[axis])
    what = rng.choice(("names", "colours"))
    told = [place.name if what == "names" else colour for place, colour in marks]
    return Turn(f"List the {what} from {order}.", ", ".join(told) + ".")


def marks_at(number: int) -> int:
    """How many marks a map has at the most in training example `number`."""
    return 1 if number < ONE_MARK else 2 if number < TWO_MARKS else MOST_MARKS


def lesson(
    seed: int,
    number: int,
    most_marks: int | None = None,
    exercises: int = EXERCISES,
    kinds: tuple[Kind, ...] | None = None,
) -> tuple[Scene, tuple[Turn, ...]]:
    """The picture and the conversations of training example `number`, always the same."""
    rng = random.Random(f"talo-export demo lesson {seed} {number}")
    most_marks = most_marks or marks_at(number)
    return scene_and_turns(rng, most_marks, kinds or KINDS, exercises)


def guessed_lesson(seed: int, number: int) -> tuple[Scene, tuple[Turn, ...], bool]:
    """Training example `number` of the last stage, and whether its picture is to be seen."""
    rng = random.Random(f"talo-export demo guessed lesson {seed} {number}")
    guessed = rng.random() < GUESS_SHARE
    seen = not guessed or rng.random() >= UNSEEN_SHARE
    return *scene_and_turns(rng, MOST_MARKS, KINDS, EXERCISES, guessed), seen


def scene_and_turns(
    rng: random.Random,
    most_marks: int,
    kinds: tuple[Kind, ...],
    exercises: int,
    guessed: bool = False,
) -> tuple[Scene, tuple[Turn, ...]]:
    """A drawing of which there is something to ask, and what is asked."""
    while True:
        scene = training_scene(rng, most_marks)
        turns = turns_about(rng, scene, kinds, exercises, guessed)
        taken = tuple(itertools.islice(turns, TURNS))
        if taken:
            return scene, taken
