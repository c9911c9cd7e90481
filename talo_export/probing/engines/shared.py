"""The fast engines: `resume` and `lockstep` deal an item's variants out over shared passes.

`resume` runs one variant a pass, from the trunk's states before its layer: at most two copies of
an item's activations beside the model's own, and never more than one row, so it suits whatever
model. `lockstep` runs as many variants as fit together: each layer is entered once a pass, with
every variant that has reached it as one batch, which is what short prompts and offloaded weights
ask for. Both run one item at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from transformers import Cache

from talo_export.models.loading import LoadedModel
from talo_export.probing.answers import Answered
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.finish import (
    answers_by_likelihood,
    answers_by_text,
    needs_cache,
    prompt_inputs,
)
from talo_export.probing.engines.host_states import HostStatesError
from talo_export.probing.engines.interventions import filled
from talo_export.probing.engines.item_state import ItemState
from talo_export.probing.engines.passes import SharedModel
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
        self, encoded: Encoded, variants: Sequence[Variant], width: int, *, host: bool = False
    ) -> Iterator[Answered]:
        """The outcomes of one item; `width` 1 is `resume`, more is `lockstep`.

        With `host` all variants go in one pass whose states are in host memory, `width` rows at a
        time on the device. Raises HostStatesError where that cannot be done.
        """
        state = ItemState()
        inputs = prompt_inputs(encoded, self._scoring)
        length = int(inputs["input_ids"].shape[1])
        cache = needs_cache(encoded, self._scoring)
        if host and (cache or not all(v is None or v.fill == "zero" for v in variants)):
            raise HostStatesError(
                "keys and values of the prompt, or other fills than zero, are used"
            )
        if host and None not in variants:
            raise HostStatesError("the base itself is not asked")
        passes = schedule(variants, len(variants) + 1 if host else width)
        with torch.inference_mode(), self._meter.item(length):
            for plan, wanted in passes:
                with self._filled(wanted):
                    passed = self._shared.run(
                        inputs,
                        plan,
                        state,
                        wanted=wanted,
                        cache=cache,
                        on_device=width if host else None,
                    )
                    if passed is not None and wanted:
                        yield from self._finish(encoded, wanted, passed.logits[:, -1], passed.cache)

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
