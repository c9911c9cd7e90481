"""Stage one, kept up in stage three: the decoder learns what a letter before a choice stands for.

Multiple choice needs a circuit of its own: find the option that says what one has in mind, and
name the letter before it. Learnt together with maps it does not come about in hours; learnt alone,
in exercises that ask for all letters of a short list, it takes minutes. What is not practised is
forgotten within a thousand steps, so some exercises stay to the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from talo_export.demo.drawing import COLOURS, LINES
from talo_export.demo.places import askable, places
from talo_export.demo.questions import CONTINENTS, DIRECTIONS
from talo_export.tasks.item import LETTERS

WORDS = tuple(
    dict.fromkeys(
        (
            *askable("us"),
            *askable("world"),
            *(str(places("us")[state].capital) for state in askable("us")),
            *COLOURS,
            *DIRECTIONS,
            *CONTINENTS,
            *LINES,
            *("yes", "no"),
            *"123456",
        )
    )
)
"""The words that answers consist of."""
POOLS: tuple[tuple[str, ...], ...] = (
    tuple(COLOURS),
    tuple(askable("us")),
    tuple(askable("world")),
    tuple(str(places("us")[state].capital) for state in askable("us")),
    tuple(DIRECTIONS),
    CONTINENTS,
    tuple("123456"),
    WORDS,
)
"""What the options of one exercise are drawn from; the first pool alone to begin with."""


@dataclass(frozen=True)
class Turn:
    """What the user writes, beside a picture or without one, and what the model should answer."""

    user: str
    answer: str


def exercise(rng: random.Random, pools: int = len(POOLS), *, copying: bool = False) -> Turn:
    """A list of lettered options and something to say about their letters."""
    pool = rng.choice(POOLS[:pools])
    options = rng.sample(pool, min(4, len(pool)))
    lettered = dict(zip(options, LETTERS, strict=False))
    listed = "".join(f"\n{letter}. {option}" for option, letter in lettered.items())
    shuffled = rng.sample(options, len(options))
    kind = rng.choice(("letters", "letters", "which", "which", *("copy",) * copying))
    if kind == "copy":
        return Turn(
            f"Copy in any order.{listed}", "".join(f"\n{lettered[o]}. {o}" for o in shuffled)
        )
    if kind == "letters":
        answer = ", ".join(f"{option} ({lettered[option]})" for option in shuffled)
        return Turn(f"Name the options and their letters.{listed}", answer)
    return Turn(f"Which option is {shuffled[0]}?{listed}", lettered[shuffled[0]])
