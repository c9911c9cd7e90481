"""Which rows run through which layers: how an item's variants are dealt out over passes.

A pass may begin at a later layer, from the trunk's hidden states that an earlier pass left there,
so an item's variants can be dealt out over as many passes as the memory asks for. Over an item's
passes each layer sees the trunk once and each variant from its own layer on: L + L(L+1)/2 layer
evaluations when every layer is swept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from talo_export.knockout import Knockout

Variant = Knockout | None


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass carries. `variants` are sorted by layer, none below `start`.

    With `trunk`, row 0 is the unmodified model; it runs until its states before layer `handover`
    are kept for a later pass, or to the end where that is None. A pass of which no answer is
    `wanted` stops there.
    """

    variants: tuple[Knockout, ...]
    trunk: bool
    start: int = 0
    handover: int | None = None
    wanted: tuple[Variant, ...] = ()

    @property
    def rows(self) -> tuple[Variant, ...]:
        """What each row of the batch is, in order."""
        return (None, *self.variants) if self.trunk else self.variants

    @property
    def ends(self) -> list[int]:
        """The rows of the batch whose answers are wanted, in that order."""
        return [self.rows.index(variant) for variant in self.wanted]

    @property
    def stops(self) -> bool:
        """Whether it ends at its handover."""
        return self.handover is not None and not self.wanted

    def active(self, layer: int) -> range:
        """The rows that layer `layer` has to compute: always neighbours."""
        first = int(self.trunk)
        joined = sum(variant.layer <= layer for variant in self.variants)
        trunk_runs = self.trunk and (self.handover is None or layer < self.handover)
        return range(0 if trunk_runs else first, first + joined)

    def silence(self) -> dict[Knockout, tuple[int, int]]:
        """Variant -> (its place among the active rows of its layer, their number)."""
        places: dict[Knockout, tuple[int, int]] = {}
        for row, variant in enumerate(self.variants, start=int(self.trunk)):
            active = self.active(variant.layer)
            places[variant] = (row - active.start, len(active))
        return places


def schedule(
    variants: Sequence[Variant], width: int, missing: Collection[Variant] | None = None
) -> list[Pass]:
    """The passes that answer one item for these variants.

    Layer by layer from below, at most `width` variants a pass. With width 1 the trunk has passes
    of its own, so that no pass has two rows; so has a variant that is not a zero fill. Where only
    some answers are `missing`, passes without any end as soon as the next can begin, or are left
    out; no other changes, for what runs together decides the last bits.
    """
    missing = variants if missing is None else missing
    knockouts = sorted(variant for variant in variants if variant is not None)
    if width > 1 and all(knockout.fill == "zero" for knockout in knockouts):
        return _together(knockouts, width, None in variants, missing)
    return _alone([knockout for knockout in knockouts if knockout in missing], None in missing)


def _together(
    knockouts: Sequence[Knockout], width: int, base: bool, missing: Collection[Variant]
) -> list[Pass]:
    passes: list[Pass] = []
    start = 0
    for at in range(0, max(len(knockouts), 1), width):
        group, later = tuple(knockouts[at : at + width]), knockouts[at + width :]
        # Once the last variant has joined, nobody reads the trunk unless it is wanted itself.
        if later:
            handover: int | None = later[0].layer
        else:
            handover = None if base else group[-1].layer + 1
        answers = group if later or not base else (*group, None)
        wanted = any(variant in missing for variant in answers)
        passes.append(Pass(group, True, start, handover, answers if wanted else ()))
        start = handover or 0
    while passes and not passes[-1].wanted:
        passes.pop()
    return passes


def _alone(knockouts: Sequence[Knockout], base: bool) -> list[Pass]:
    passes: list[Pass] = []
    start = 0
    for knockout in knockouts:
        if knockout.layer > start:
            passes.append(Pass((), trunk=True, start=start, handover=knockout.layer))
            start = knockout.layer
        passes.append(Pass((knockout,), trunk=False, start=start, wanted=(knockout,)))
    if base:
        passes.append(Pass((), trunk=True, start=start, wanted=(None,)))
    return passes
