"""What the demo model is trained on: pictures, and several short conversations about each."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from talo_export.demo.bundled import user_text
from talo_export.demo.drawing import Scene, sketch
from talo_export.demo.places import places
from talo_export.demo.questions import TRAINED_KINDS, is_held_out, line_crossing, mark_key

TURNS = 8
"""Conversations about one picture; each sees the picture and itself only."""
OPEN_SHARE = 0.4
"""Share of the questions asked without choices, answered in words."""
WITHOUT_CHOICES = 2000
"""The first lessons are captions and questions without choices only: what is on a map is learnt
before what a letter stands for."""
ONE_MARK, TWO_MARKS = 4000, 8000
"""Until these lessons a map has one mark, then at most two: what a mark means is learnt before
which of them a question is about."""
WORLD_SHARE = 0.3
MARKS = (1, 2, 3, 4, 4, 4, 5, 6)


@dataclass(frozen=True)
class Turn:
    """What the user writes beside the picture, and what the model should answer."""

    user: str
    answer: str


def training_scene(rng: random.Random, most_marks: int = 6) -> Scene:
    """A random drawing that no bundled task uses."""
    while True:
        world = rng.random() < WORLD_SHARE
        line = not world and most_marks >= 4 and rng.random() < 0.2
        marks = 4 if line else rng.choice(MARKS[:-1] if world else MARKS)
        marks = min(marks, most_marks)
        scene = sketch(rng, "world" if world else "us", marks, line=line)
        if not is_held_out(scene.identity):
            return scene


def turns_about(rng: random.Random, scene: Scene, open_share: float) -> Iterator[Turn]:
    """Conversations about a scene, none of them held out; few where little is left to ask."""
    if (described := caption(scene)) is not None:
        yield described
    for _ in range(20 * TURNS):
        kind = line_crossing if scene.line and rng.random() < 0.4 else rng.choice(TRAINED_KINDS)
        question = kind(rng, scene)
        if question is None or question.held_out:
            continue
        if question.open and rng.random() < open_share:
            yield Turn(question.text, question.answer)
            continue
        if open_share == 1:
            continue
        choices = rng.sample((question.answer, *question.wrong), 1 + len(question.wrong))
        letter = "ABCD"[choices.index(question.answer)]
        yield Turn(user_text(question.text, tuple(choices)), letter)


def caption(scene: Scene) -> Turn | None:
    """All marks in words, west to east, but for a place in a colour whose name is held out.

    None where nothing is left to tell.
    """
    marks = sorted(scene.marks, key=lambda mark: places(scene.map)[mark[0]].centre)
    told = [f"{colour} {name}" for name, colour in marks if not is_held_out(mark_key(name, colour))]
    return Turn("Describe the map.", ", ".join(told) + ".") if told else None


def lesson(seed: int, number: int) -> tuple[Scene, tuple[Turn, ...]]:
    """The picture and the conversations of training example `number`, always the same."""
    rng = random.Random(f"talo-export demo lesson {seed} {number}")
    most_marks = 1 if number < ONE_MARK else 2 if number < TWO_MARKS else 6
    open_share = 1 if number < WITHOUT_CHOICES else OPEN_SHARE
    while True:
        scene = training_scene(rng, most_marks)
        turns = tuple(itertools.islice(turns_about(rng, scene, open_share), TURNS))
        if turns:
            return scene, turns
