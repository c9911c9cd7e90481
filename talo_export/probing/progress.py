"""What a long sweep tells whoever watches it. Nothing in this room prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from talo_export.knockout import Knockout
from talo_export.probing.journal import Cell
from talo_export.probing.scores import Outcome
from talo_export.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Progress:
    """State after some answers. A cell is one item answered by one variant.

    `done` counts cells answered in this call or found in the journal; `resumed` only the latter,
    so that time left is estimated from `done - resumed`. The same of items, which are done when
    every variant has answered them. `gains` holds each variant's accuracy minus the base's over
    the items both have answered so far. While `checking` the item in work is answered the plain way
    too, which takes longer.
    """

    done: int
    total: int
    resumed: int
    items_done: int
    items: int
    items_resumed: int
    gains: Mapping[Knockout, float]
    checking: bool = False


class Watch:
    """Turns outcomes into reports of progress, keeping every variant's score against the base.

    `items` is how many of them this process has to do with, `outcomes` what is known already.
    """

    def __init__(
        self,
        items: int,
        variants: Sequence[Knockout | None],
        outcomes: Mapping[Knockout | None, Mapping[str, Outcome]],
        reporter: Reporter,
        phase: str,
    ) -> None:
        self._items = items
        self._total = items * len(variants)
        self._advance = reporter.phase(phase, self._total, "answers")
        self._correct: dict[Knockout | None, dict[str, bool]] = {v: {} for v in variants}
        self._won = dict.fromkeys(variants, 0)
        self._both = dict.fromkeys(variants, 0)
        self._done = 0
        for variant, seen in outcomes.items():
            for item_id, outcome in seen.items():
                self._count(Cell(variant, item_id, outcome))
        self._resumed, self._items_resumed = self._done, self._items_done()
        self.report()

    def add(self, cells: Sequence[Cell], *, checking: bool = False) -> None:
        """Count new cells and report them."""
        for cell in cells:
            self._count(cell)
        self.report(checking=checking)

    def report(self, *, checking: bool = False) -> None:
        """Report where the sweep stands, as the fact `progress`."""
        gains = {
            variant: self._won[variant] / both
            for variant, both in self._both.items()
            if variant is not None and both
        }
        progress = Progress(
            done=self._done,
            total=self._total,
            resumed=self._resumed,
            items_done=self._items_done(),
            items=self._items,
            items_resumed=self._items_resumed,
            gains=gains,
            checking=checking,
        )
        self._advance(self._done, progress=progress)

    def _items_done(self) -> int:
        return min(map(len, self._correct.values()), default=0)

    def _count(self, cell: Cell) -> None:
        self._done += 1
        self._correct[cell.variant][cell.item_id] = cell.outcome.correct
        pairs = self._correct if cell.variant is None else [cell.variant]
        for variant in pairs:
            base = self._correct[None].get(cell.item_id)
            other = self._correct[variant].get(cell.item_id)
            if base is not None and other is not None:
                self._both[variant] += 1
                self._won[variant] += int(other) - int(base)
