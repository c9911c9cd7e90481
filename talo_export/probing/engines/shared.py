"""The fast engines: `resume` and `lockstep` deal an item's variants out over shared passes.

`resume` runs one variant a pass, from the trunk's states before its layer: at most two copies of
an item's activations beside the model's own, and never more than one row, so it suits whatever
model. `lockstep` runs as many variants as fit together: each layer is entered once a pass, with
every variant that has reached it as one batch, which is what short prompts and offloaded weights
ask for. Both run one item at a time.

`pair` is for a base and one knockout, as a confirmation asks for them: like `resume`, but with the
very products of stock passes, so that an exported checkpoint must give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from talo_export.models.loading import LoadedModel
from talo_export.models.switching import filled
from talo_export.probing.answers import Answered, by_likelihood
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.finish import (
    answers_by_likelihood,
    answers_by_text,
    needs_cache,
    prompt_inputs,
)
from talo_export.probing.engines.item_state import ItemState
from talo_export.probing.engines.naive import generate, sequences, summed
from talo_export.probing.engines.passes import ALL, SharedModel
from talo_export.probing.engines.plan import Variant, schedule
from talo_export.probing.settings import Scoring


class Sharing:
    """Answers one item for all variants in shared passes of at most `width` variants.

    Use inside `SharedModel.installed()`.
    """

    def __init__(
        self, loaded: LoadedModel, scoring: Scoring, meter: Meter, shared: SharedModel
    ) -> None:
        self._loaded = loaded
        self._scoring = scoring
        self._meter = meter
        self._shared = shared

    def answer_item(
        self, encoded: Encoded, variants: Sequence[Variant], width: int
    ) -> Iterator[Answered]:
        """The outcomes of one item; `width` 1 is `resume`, more is `lockstep`."""
        state = ItemState()
        inputs = prompt_inputs(encoded, self._scoring)
        length = int(inputs["input_ids"].shape[1])
        cache = needs_cache(encoded, self._scoring)
        with torch.inference_mode(), self._meter.item(length):
            for plan, wanted in schedule(variants, width):
                with self._filled(wanted):
                    passed = self._shared.run(inputs, plan, state, wanted=wanted, cache=cache)
                    if passed is not None and wanted:
                        yield from self._finish(encoded, wanted, passed.logits[:, -1], passed.cache)

    def answer_pair(self, encoded: Encoded, variants: Sequence[Variant]) -> Iterator[Answered]:
        """The outcomes of one item, bit for bit those of stock passes.

        Each variant runs alone, every position through every module, so that all products have
        the shapes of stock passes; what is spared is the layers below a knockout and the tower.
        """
        found: dict[Variant, list[Tensor]] = {variant: [] for variant in variants}
        vision: dict[int, list[Any]] = {}
        with torch.inference_mode(), self._meter.item(encoded.length):
            if self._scoring.kind == "generate":
                yield from self._generated(encoded, variants)
                return
            for inputs, keep in sequences(self._loaded.model, encoded):
                state = ItemState(vision=vision)
                for plan, wanted in schedule(variants, 1):
                    with self._filled(wanted):
                        passed = self._shared.run(inputs, plan, state, wanted=wanted, keep=ALL)
                    if passed is not None and wanted:
                        found[wanted[0]].append(passed.logits[0, -keep:].float())
        for variant, logits in found.items():
            sums, first = summed(encoded, logits)
            yield Answered(variant, by_likelihood(encoded, sums, self._scoring.normalise), first)

    def _generated(self, encoded: Encoded, variants: Sequence[Variant]) -> Iterator[Answered]:
        state = ItemState()
        for plan, wanted in schedule(variants, 1):
            with self._filled(wanted):
                made = self._shared.generate(
                    plan, state, lambda: generate(self._loaded, encoded, self._scoring)
                )
            if made is not None and wanted:
                yield Answered(wanted[0], *made)

    def _finish(
        self, encoded: Encoded, wanted: Sequence[Variant], logits: Tensor, cache: Cache | None
    ) -> Iterator[Answered]:
        if self._scoring.kind == "generate":
            assert cache is not None
            outcomes, logits = answers_by_text(self._loaded, encoded, wanted, cache, self._scoring)
        else:
            outcomes = answers_by_likelihood(
                self._loaded, encoded, wanted, logits, cache, self._scoring
            )
        for row, variant in enumerate(wanted):
            yield Answered(variant, outcomes[row], logits[row])

    def _filled(self, wanted: Sequence[Variant]) -> AbstractContextManager[None]:
        """Fills other than zero change weights, so such a variant runs alone."""
        for variant in wanted:
            if variant is not None and variant.fill != "zero":
                return filled(self._loaded.model, self._loaded.decoder, variant)
        return nullcontext()
