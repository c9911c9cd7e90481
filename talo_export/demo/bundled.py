"""The bundled tasks: a few hundred multiple-choice items each, drawn when the task is loaded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from talo_export.demo.drawing import Scene, draw_png, sketch
from talo_export.demo.places import MapName
from talo_export.demo.questions import (
    Kind,
    Question,
    area,
    borders,
    capital,
    colour_by_capital,
    colour_of_state,
    continent,
    count,
    direction_of_country,
    direction_of_state,
    farthest,
    is_held_out,
    line_crossing,
    name_of_country,
    name_of_state,
)
from talo_export.errors import UsageError
from talo_export.tasks.item import LETTERS, Item, ItemImage, Task
from talo_export.tasks.prompts import LETTER_INSTRUCTION, lettered_choices

ITEMS = 300
"""Items in each task: divisible by 2, 3 and 4, so that every letter is right equally often."""


@dataclass(frozen=True)
class Recipe:
    """How a task is made: which kinds of question, about which map, with how many marks."""

    description: str
    map: MapName
    kinds: tuple[Kind, ...]
    marks: tuple[int, ...] = (2, 3, 4, 5)
    asked_anew: bool = True
    """Whether the question's key is held out as well as the drawing. Not where a colour is the
    answer: a state that is never purple in training would never be called purple."""
    guessed: bool = False
    """Whether the asker first says what they think, and is wrong."""


RECIPES: dict[str, Recipe] = {
    "maps": Recipe(
        "read a map of the USA for people who first say what they think, and are wrong",
        "us", (farthest, name_of_state, capital), (4,), guessed=True,
    ),
    "positions": Recipe(
        "farthest north, south, east or west; lines of latitude, longitude",
        "us", (farthest, farthest, line_crossing), (4,),
    ),
    "states": Recipe("name a coloured state of the USA", "us", (name_of_state,)),
    "capitals": Recipe("name the capital of a coloured state", "us", (capital,)),
    "colours": Recipe(
        "say which colour a named state has", "us", (colour_of_state,), (3, 4, 5), False
    ),
    "directions": Recipe("direction from one state to another", "us", (direction_of_state,)),
    "count": Recipe("count the coloured states", "us", (count,), (1, 2, 3, 4, 5, 6)),
    "area": Recipe("the largest of three states", "us", (area,), (3, 4, 5)),
    "borders": Recipe("do two states share a border?", "us", (borders,)),
    "continents": Recipe(
        "the continent of a country never asked about in training", "world", (continent,)
    ),
    "countries": Recipe("name a coloured country", "world", (name_of_country,)),
    "capital-colours": Recipe(
        "colour of the state with a given capital (a kind of question training never asks)",
        "us", (colour_by_capital,), (3, 4, 5), False,
    ),
    "country-directions": Recipe(
        "direction from one country to another (a kind of question training never asks)",
        "world", (direction_of_country,),
    ),
}  # fmt: skip


def demo_model_directory() -> Path:
    """Where the bundled model lies: an ordinary checkpoint directory."""
    return Path(__file__).with_name("model")


def demo_task_names() -> tuple[str, ...]:
    """The names of the bundled tasks; `maps`, the default, comes first."""
    return tuple(RECIPES)


def demo_task_descriptions() -> dict[str, str]:
    """One line about each bundled task."""
    return {name: recipe.description for name, recipe in RECIPES.items()}


def demo_task_chance(name: str) -> float:
    """Accuracy of blind guessing, from the first question: a task's questions have equally many
    choices. Spares drawing the pictures."""
    _, question = next(held_out_questions(name))
    return 1 / (1 + len(question.wrong))


def held_out_questions(name: str, draw: str = "") -> Iterator[tuple[Scene, Question]]:
    """An endless stream of a task's scenes and questions, seeded by name and `draw`.

    The drawing is held out and, where the recipe says so, the question's key; no drawing comes
    twice.
    """
    recipe = RECIPES[name]
    rng = random.Random(f"talo-export demo task {name} {draw}".rstrip())
    seen: set[str] = set()
    while True:
        kind = rng.choice(recipe.kinds)
        marks = rng.choice(recipe.marks)
        scene = sketch(rng, recipe.map, marks, line=kind is line_crossing)
        question = kind(rng, scene)
        if question is None or scene.identity in seen:
            continue
        if recipe.asked_anew and not question.held_out:
            continue
        if is_held_out(scene.identity):
            seen.add(scene.identity)
            yield scene, question


@cache
def load_demo_task(name: str, draw: str = "") -> Task:
    """A bundled task with its pictures drawn (PNG bytes in memory); by another `draw`, others.

    Raises `UsageError` for a name that is not in `demo_task_names()`.
    """
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise UsageError(f"There is no bundled task {name!r}; there are {known}.")
    questions = held_out_questions(name, draw)
    rng = random.Random(f"talo-export demo choices {name} {draw}".rstrip())
    items = tuple(_item(name, index, *next(questions), rng) for index in range(ITEMS))
    return Task(name, items, "bundled demo")


def _item(name: str, index: int, scene: Scene, question: Question, rng: random.Random) -> Item:
    wrong = rng.sample(question.wrong, len(question.wrong))
    # The right answer goes round the letters: which letter is right says nothing about the item.
    answer = index % (len(wrong) + 1)
    identifier = f"{name}-{index:03d}"
    choices = (*wrong[:answer], question.answer, *wrong[answer:])
    letters = LETTERS[: len(choices)]
    guess = rng.choice(letters.replace(letters[answer], "")) if RECIPES[name].guessed else None
    return Item(
        id=identifier,
        group=scene.identity,
        question=with_guess(question.text, guess) if guess else question.text,
        choices=choices,
        answer=answer,
        images=(ItemImage(f"{identifier}.png", data=draw_png(scene)),),
        category=name,
    )


def with_guess(question: str, letter: str) -> str:
    """A question whose asker first says which choice they think is right."""
    return f"I think it is {letter}.\n{question}"


def user_text(question: str, choices: tuple[str, ...]) -> str:
    """The text a user sends with the picture, choices lettered, as the model was trained."""
    return "\n".join([question, lettered_choices(choices), LETTER_INSTRUCTION])
