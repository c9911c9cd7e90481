"""The shared engine: one item's answers for all its variants, no layer repeated needlessly.

An item's variants are dealt out over passes of at most `width` variants. With many, each layer is
entered once a pass, with every variant that has reached it as one batch, which is what short
prompts and offloaded weights ask for. With one there are at most two copies of an item's
activations beside the model's own, and never more than one row, so it suits whatever model.

*Stock-shaped* passes are for a confirmation: each variant runs alone, every position through every
module, so that all products have the shapes of stock passes and their very bits, to which an
exported checkpoint is held. What is spared is the layers below a knockout and the vision tower.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

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
from talo_export.probing.engines.naive import generate, sequences, summed
from talo_export.probing.engines.passes import ALL, SharedModel
from talo_export.probing.engines.plan import Pass, Variant, schedule
from talo_export.probing.engines.walk import ItemState
from talo_export.probing.settings import Scoring

AnswerPass = Callable[[Pass], list[Answered]]
"""Runs one pass of an item; no answers where it only takes the trunk further."""


class Shared:
    """Answers items in shared passes. Use inside `SharedModel.installed()`."""

    def __init__(
        self, loaded: LoadedModel, scoring: Scoring, meter: Meter, model: SharedModel
    ) -> None:
        self._loaded = loaded
        self._scoring = scoring
        self._meter = meter
        self._model = model

    def answer(
        self,
        encoded: Encoded,
        variants: Sequence[Variant],
        width: int,
        missing: Collection[Variant] | None = None,
        *,
        stock_shaped: bool = False,
    ) -> Iterator[list[Answered]]:
        """The `missing` answers (None: all) of one item, pass by pass as each ends.

        At most `width` variants run at once, in stock-shaped passes one.
        """
        if not stock_shaped:
            answer_pass, length = self._from_prompt(encoded)
        elif self._scoring.kind == "generate":
            answer_pass, length = self._by_stock_generation(encoded), encoded.length
        else:
            answer_pass, length = self._by_stock_likelihood(encoded), encoded.length
        for plan in schedule(variants, 1 if stock_shaped else width, missing):
            with torch.inference_mode(), self._meter.item(length), self._filled(plan):
                answers = answer_pass(plan)
            if answers:
                yield [answer for answer in answers if missing is None or answer.variant in missing]

    def _from_prompt(self, encoded: Encoded) -> tuple[AnswerPass, int]:
        """One pass over the prompt; what follows it is read from the cache, all variants at once.

        And the number of tokens that is.
        """
        loaded, scoring, state = self._loaded, self._scoring, ItemState()
        inputs, cache = prompt_inputs(encoded, scoring), needs_cache(encoded, scoring)

        def answer_pass(plan: Pass) -> list[Answered]:
            passed = self._model.run(inputs, plan, state, cache=cache)
            if passed is None:
                return []
            logits = passed.logits[:, -1]
            if scoring.kind == "generate":
                assert passed.cache is not None
                outcomes, logits = answers_by_text(
                    loaded, encoded, plan.wanted, passed.cache, scoring
                )
            else:
                outcomes = answers_by_likelihood(
                    loaded, encoded, plan.wanted, logits, passed.cache, scoring
                )
            return list(map(Answered, plan.wanted, outcomes, logits))

        return answer_pass, int(inputs["input_ids"].shape[1])

    def _by_stock_generation(self, encoded: Encoded) -> AnswerPass:
        """Stock `generate`, whose first forward is the pass."""
        state = ItemState()

        def answer_pass(plan: Pass) -> list[Answered]:
            made = self._model.generate(
                plan, state, lambda: generate(self._loaded, encoded, self._scoring)
            )
            return [] if made is None else [Answered(plan.wanted[0], *made)]

        return answer_pass

    def _by_stock_likelihood(self, encoded: Encoded) -> AnswerPass:
        """The prompt with each choice read to its end, as the plain way does."""
        runs = sequences(self._loaded.model, encoded)
        vision: dict[int, list[Any]] = {}
        states = [ItemState(vision=vision) for _ in runs]

        def answer_pass(plan: Pass) -> list[Answered]:
            logits: list[Tensor] = []
            for (inputs, keep), state in zip(runs, states, strict=True):
                passed = self._model.run(inputs, plan, state, keep=ALL)
                if passed is not None:
                    logits.append(passed.logits[0, -keep:].float())
            if not logits:
                return []
            sums, first = summed(encoded, logits)
            outcome = by_likelihood(encoded, sums, self._scoring.normalise)
            return [Answered(plan.wanted[0], outcome, first)]

        return answer_pass

    def _filled(self, plan: Pass) -> AbstractContextManager[None]:
        """Fills other than zero change weights, so such a variant runs alone."""
        for variant in plan.wanted:
            if variant is not None and variant.fill != "zero":
                return filled(self._loaded.model, self._loaded.decoder, variant)
        return nullcontext()
