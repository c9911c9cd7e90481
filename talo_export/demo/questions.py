"""The kinds of question the demo asks about a scene.

A kind is a function from a scene to a `Question`, or to None where the scene does not lend itself
to one (too few marks, two places too close to call). Its `key` says what is new about a question:
the set of places compared, or the place in its colour. A fifth of all keys, chosen by hash, is
*held out*: training never asks a held-out question, the bundled tasks ask no other.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

from talo_export.demo.drawing import COLOURS, PROJECTIONS, Scene
from talo_export.demo.places import Place, askable, places

HELD_OUT_SHARE = 5
"""One key in this many is held out."""

DIRECTIONS = {"north": (1, 1), "south": (1, -1), "east": (0, 1), "west": (0, -1)}
"""Each direction's axis (0 longitude, 1 latitude) and sign."""
CONTINENTS = ("Africa", "Asia", "Europe", "North America", "Oceania", "South America")


@dataclass(frozen=True)
class Question:
    """A question about a scene, its right answer, and wrong ones to choose from.

    `key` is what decides whether it is held out; `open` says whether it can be answered without
    seeing the choices."""

    kind: str
    text: str
    answer: str
    wrong: tuple[str, ...]
    key: str
    open: bool = True

    @property
    def held_out(self) -> bool:
        """Whether the question belongs to the tasks and not to training."""
        return is_held_out(self.key)


def is_held_out(key: str) -> bool:
    """Whether a key, or a drawing's identity, is reserved for the tasks."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % HELD_OUT_SHARE == 0


def _key(kind: str, parts: Iterable[str]) -> str:
    return f"{kind}: {', '.join(sorted(parts))}"


def mark_key(place: str, colour: str) -> str:
    """The key of all questions that tell a place from its colour or its colour from the place."""
    return f"{place} in {colour}"


def order_keys(names: Iterable[str], *, by_size: bool) -> tuple[str, ...]:
    """The keys of the questions that a list of these places in order would answer.

    By size: which of three is the largest. By position: which of four is farthest.
    """
    kind, size = ("area", 3) if by_size else ("maps", 4)
    return tuple(_key(kind, compared) for compared in combinations(names, size))


def _marked(scene: Scene) -> list[tuple[Place, str]]:
    everything = places(scene.map)
    return [(everything[name], colour) for name, colour in scene.marks]


def _noun(scene: Scene) -> str:
    return "state" if scene.map == "us" else "country"


def _others(rng: random.Random, pool: Iterable[str], answer: str) -> tuple[str, ...]:
    """Three wrong choices from `pool`."""
    return tuple(rng.sample([entry for entry in pool if entry != answer], 3))


def farthest(rng: random.Random, scene: Scene, fewest: int = 4) -> Question | None:
    """Which of four marked states (or of fewer, to practise) lies farthest in a direction; asked
    by name or by colour."""
    if scene.map != "us" or len(scene.marks) < fewest or scene.line is not None:
        return None
    direction = rng.choice(list(DIRECTIONS))
    axis, sign = DIRECTIONS[direction]
    marks, most = _marked(scene), min(4, len(scene.marks))
    size = most if fewest >= most else rng.randint(fewest, most)
    compared = marks if size == len(marks) else rng.sample(marks, size)
    ranked = sorted(compared, key=lambda mark: -sign * mark[0].centre[axis])
    if abs(ranked[0][0].centre[axis] - ranked[1][0].centre[axis]) < 1.2:
        return None
    by_name = rng.random() < 0.6
    names = [place.name if by_name else colour for place, colour in ranked]
    text = f"Which of these {'' if by_name else 'coloured '}states is farthest {direction}?"
    key = _key("maps", (place.name for place, _ in ranked))
    every = size == len(marks)
    return Question("maps", text, names[0], tuple(names[1:]), key, open=every)


def line_crossing(_rng: random.Random, scene: Scene) -> Question | None:
    """Which of four marked states a line of latitude or longitude crosses."""
    if scene.map != "us" or len(scene.marks) != 4 or scene.line is None:
        return None
    axis = 0 if scene.line.kind == "longitude" else 1
    crossed: list[str] = []
    missed: list[str] = []
    for place, colour in _marked(scene):
        low, high = place.extents[axis]
        (crossed if low <= scene.line.degrees <= high else missed).append(colour)
    if len(crossed) != 1:
        return None
    text = f"Which state does the line of {scene.line.kind} cross?"
    key = _key("maps", (name for name, _ in scene.marks))
    return Question("maps", text, crossed[0], tuple(missed), key)


def name_of_state(rng: random.Random, scene: Scene) -> Question | None:
    """The name of the state in a given colour."""
    return _name(rng, scene, "states") if scene.map == "us" else None


def name_of_country(rng: random.Random, scene: Scene) -> Question | None:
    """The name of the country in a given colour."""
    return _name(rng, scene, "countries") if scene.map == "world" else None


def _name(rng: random.Random, scene: Scene, kind: str) -> Question:
    name, colour = rng.choice(scene.marks)
    text = f"What is the name of the {colour} {_noun(scene)}?"
    wrong = _others(rng, askable(scene.map), name)
    return Question(kind, text, name, wrong, mark_key(name, colour))


def capital(rng: random.Random, scene: Scene) -> Question | None:
    """The capital of the state in a given colour."""
    if scene.map != "us":
        return None
    place, colour = rng.choice(_marked(scene))
    capitals = [str(places("us")[name].capital) for name in askable("us")]
    wrong = _others(rng, capitals, str(place.capital))
    text = f"What is the capital of the {colour} state?"
    return Question("capitals", text, str(place.capital), wrong, mark_key(place.name, colour))


def continent(rng: random.Random, scene: Scene) -> Question | None:
    """The continent of the country in a given colour; a held-out country is never asked about."""
    if scene.map != "world":
        return None
    place, colour = rng.choice(_marked(scene))
    text = f"On which continent is the {colour} country?"
    wrong = _others(rng, CONTINENTS, str(place.continent))
    return Question(
        "continents", text, str(place.continent), wrong, _key("continents", (place.name,))
    )


def colour_of_state(rng: random.Random, scene: Scene, fewest: int = 3) -> Question | None:
    """The colour of a named state."""
    if scene.map != "us" or len(scene.marks) < fewest:
        return None
    name, colour = rng.choice(scene.marks)
    text = f"Which colour is {name}?"
    return Question(
        "colours", text, colour, _other_colours(rng, scene, colour), mark_key(name, colour)
    )


def colour_by_capital(rng: random.Random, scene: Scene) -> Question | None:
    """The colour of the state with a given capital. Training never asks this kind."""
    if scene.map != "us" or len(scene.marks) < 3:
        return None
    place, colour = rng.choice(_marked(scene))
    text = f"Which colour is the state with the capital {place.capital}?"
    key = mark_key(place.name, colour)
    return Question("capital-colours", text, colour, _other_colours(rng, scene, colour), key)


def _other_colours(rng: random.Random, scene: Scene, colour: str) -> tuple[str, ...]:
    """Three wrong colours, those on the map first: otherwise seeing colours would be enough."""
    shown = [other for _, other in scene.marks if other != colour]
    absent = [other for other in COLOURS if other != colour and other not in shown]
    return tuple((rng.sample(shown, len(shown)) + rng.sample(absent, len(absent)))[:3])


def direction_of_state(rng: random.Random, scene: Scene, *, named: bool = False) -> Question | None:
    """The direction from one marked state to another, told by their colours or by `named`."""
    return _direction(rng, scene, "directions", named) if scene.map == "us" else None


def direction_of_country(rng: random.Random, scene: Scene) -> Question | None:
    """The direction from one marked country to another. Training never asks this kind."""
    return _direction(rng, scene, "country-directions", False) if scene.map == "world" else None


def _told(scene: Scene, mark: tuple[Place, str], named: bool) -> str:
    """How a question speaks of a marked place: "the red state", or its name."""
    place, colour = mark
    return place.name if named else f"the {colour} {_noun(scene)}"


def _direction(rng: random.Random, scene: Scene, kind: str, named: bool) -> Question | None:
    if len(scene.marks) < 2:
        return None
    marks = rng.sample(_marked(scene), 2)
    (start, _), (goal, _) = marks
    base = PROJECTIONS[scene.map]
    dx = (goal.centre[0] - start.centre[0]) * base.x_scale
    dy = (goal.centre[1] - start.centre[1]) * base.y_scale
    if max(abs(dx), abs(dy)) < 6 or not (abs(dx) > 1.8 * abs(dy) or abs(dy) > 1.8 * abs(dx)):
        return None
    axis, offset = (0, dx) if abs(dx) > abs(dy) else (1, dy)
    towards = (axis, 1 if offset > 0 else -1)
    answer = next(name for name, found in DIRECTIONS.items() if found == towards)
    told = [_told(scene, mark, named) for mark in marks]
    text = f"In which direction is {told[1]} from {told[0]}?"
    wrong = tuple(entry for entry in DIRECTIONS if entry != answer)
    return Question(kind, text, answer, wrong, _key(kind, (start.name, goal.name)))


def count(rng: random.Random, scene: Scene) -> Question | None:
    """How many states are marked."""
    if scene.map != "us":
        return None
    answer = str(len(scene.marks))
    wrong = _others(rng, [str(number) for number in range(1, 7)], answer)
    key = _key("count", (name for name, _ in scene.marks))
    return Question("count", "How many states are coloured?", answer, wrong, key)


def area(rng: random.Random, scene: Scene, *, named: bool = False) -> Question | None:
    """Which of three marked states is the largest, by at least a third; by colour or `named`."""
    if scene.map != "us" or len(scene.marks) < 3:
        return None
    ranked = sorted(rng.sample(_marked(scene), 3), key=lambda mark: -mark[0].area_km2)
    if ranked[0][0].area_km2 < 1.33 * ranked[1][0].area_km2:
        return None
    told = [place.name if named else colour for place, colour in ranked]
    key = _key("area", (place.name for place, _ in ranked))
    return Question(
        "area", "Which of these states is the largest?", told[0], tuple(told[1:]), key, False
    )


def borders(rng: random.Random, scene: Scene, *, named: bool = False) -> Question | None:
    """Whether two marked states share a border, the two answers equally often."""
    if scene.map != "us" or len(scene.marks) < 2:
        return None
    touching = rng.random() < 0.5
    marks = _marked(scene)
    pairs = [
        (one, other)
        for index, one in enumerate(marks)
        for other in marks[index + 1 :]
        if (other[0].name in one[0].neighbours) is touching
    ]
    if not pairs:
        return None
    pair = rng.choice(pairs)
    told = [_told(scene, mark, named) for mark in pair]
    text = f"Does {told[0]} border {told[1]}?"
    answer, wrong = ("yes", "no") if touching else ("no", "yes")
    key = _key("borders", (place.name for place, _ in pair))
    return Question("borders", text, answer, (wrong,), key)


Kind = Callable[[random.Random, Scene], Question | None]

TRAINED_KINDS: tuple[Kind, ...] = (
    farthest, line_crossing, name_of_state, name_of_country, capital, continent,
    colour_of_state, direction_of_state, count, area, borders,
)  # fmt: skip
UNTRAINED_KINDS: tuple[Kind, ...] = (colour_by_capital, direction_of_country)
"""Asked by the tasks alone: they combine what other kinds teach."""
