"""A race: layers that cannot be chosen any more are dropped while the sweep goes on.

Which ones cannot is no business of this room: whoever asks for a race brings the rule, a pure
function of the scores so far. The sweep asks it at fixed places in the order of the items, so
what is dropped, and when, depends on the scores alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True, slots=True)
class Standing:
    """The knockouts still worth scoring; `settled` when no further item could change the choice."""

    racing: tuple[Knockout, ...]
    settled: bool = False


@dataclass(frozen=True)
class Race:
    """`standing` says who goes on; it is asked after every `every` items.

    Its table holds all items so far in the sweep's order; one that was left out has no score.
    """

    every: int
    standing: Callable[[ScoreTable], Standing]

    def narrowed(
        self, racing: Sequence[Knockout | None], table: ScoreTable
    ) -> tuple[Knockout | None, ...]:
        """Those of `racing` that go on, nobody once it is settled.

        The base goes on as long as anyone does, and who was dropped stays out.
        """
        found = self.standing(table)
        kept = set() if found.settled else set(found.racing)
        return tuple(v for v in racing if (v in kept) or (v is None and kept))
