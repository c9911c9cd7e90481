"""Which rows run through which layers: how an item's variants are dealt out over passes.

A pass may begin at a later layer, from the trunk's hidden states that an earlier pass left there,
so an item's variants can be dealt out over as many passes as the memory asks for. Over an item's
passes each layer sees the trunk once and each variant from its own layer on: L + L(L+1)/2 layer
evaluations when every layer is swept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from talo_export.knockout import Knockout

Variant = Knockout | None


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass carries. `variants` are sorted by layer, none below `start`.

    With `trunk`, row 0 is the unmodified model; it runs until its states before layer `handover`
    are kept for a later pass, or to the end where that is None. A pass of the trunk alone with a
    handover stops there.
    """

    variants: tuple[Knockout, ...]
    trunk: bool
    start: int = 0
    handover: int | None = None

    @property
    def stops(self) -> bool:
        return self.handover is not None and not self.variants

    def active(self, layer: int) -> range:
        """The rows that layer `layer` has to compute: always neighbours."""
        first = int(self.trunk)
        joined = sum(variant.layer <= layer for variant in self.variants)
        trunk_runs = self.trunk and (self.handover is None or layer < self.handover)
        return range(0 if trunk_runs else first, first + joined)

    def silence(self) -> dict[Knockout, tuple[int, int]]:
        """Variant -> (its place among the active rows of its layer, their number)."""
        first = int(self.trunk)
        places: dict[Knockout, tuple[int, int]] = {}
        for row, variant in enumerate(self.variants, start=first):
            active = self.active(variant.layer)
            places[variant] = (row - active.start, len(active))
        return places


def schedule(variants: Sequence[Variant], width: int) -> Iterator[tuple[Pass, list[Variant]]]:
    """The passes that answer one item for these variants, each with what it answers.

    Layer by layer from below, at most `width` variants a pass. With width 1 the trunk has passes
    of its own, so that no pass has two rows; so has a variant that is not a zero fill.
    """
    knockouts = sorted(variant for variant in variants if variant is not None)
    if width > 1 and all(knockout.fill == "zero" for knockout in knockouts):
        yield from _together(knockouts, width, base=None in variants)
    else:
        yield from _alone(knockouts, base=None in variants)


def _together(
    knockouts: Sequence[Knockout], width: int, base: bool
) -> Iterator[tuple[Pass, list[Variant]]]:
    groups = [knockouts[at : at + width] for at in range(0, len(knockouts), width)]
    start = 0
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        # Once the last variant has joined, nobody reads the trunk unless it is wanted itself.
        handover = None if last and base else group[-1].layer + 1
        if not last:
            handover = groups[number + 1][0].layer
        wanted: list[Variant] = [*group, None] if last and base else list(group)
        yield Pass(tuple(group), trunk=True, start=start, handover=handover), wanted
        start = handover or 0
    if not groups and base:
        yield Pass((), trunk=True), [None]


def _alone(knockouts: Sequence[Knockout], base: bool) -> Iterator[tuple[Pass, list[Variant]]]:
    start = 0
    for knockout in knockouts:
        if knockout.layer > start:
            yield Pass((), trunk=True, start=start, handover=knockout.layer), []
            start = knockout.layer
        yield Pass((knockout,), trunk=False, start=start), [knockout]
    if base:
        yield Pass((), trunk=True, start=start), [None]
