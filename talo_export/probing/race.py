"""A race: layers that cannot win any more are dropped while the sweep goes on.

Which ones cannot is no business of this room: whoever asks for a race brings the rule, a pure
function of the scores so far. The sweep asks it at fixed places in the order of the items, so
what is dropped, and when, depends on the scores alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True)
class Race:
    """`keep` names the knockouts still worth scoring; it is asked after every `every` items.

    Its table holds all items so far in the sweep's order; one that was left out has no score.
    """

    every: int
    keep: Callable[[ScoreTable], Collection[Knockout]]

    def narrowed(
        self, racing: Sequence[Knockout | None], table: ScoreTable
    ) -> tuple[Knockout | None, ...]:
        """Those of `racing` that go on. The base always does, and who was dropped stays out."""
        kept = set(self.keep(table))
        return tuple(variant for variant in racing if variant is None or variant in kept)
