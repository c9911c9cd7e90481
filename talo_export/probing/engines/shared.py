"""The shared engine: one item's answers for all its variants, no layer repeated needlessly.

An item's variants are dealt out over passes of at most `width` variants. With many, each layer is
entered once a pass, with every variant that has reached it as one batch, which is what short
prompts and offloaded weights ask for. With one there are at most two copies of an item's
activations beside the model's own, and never more than one row, so it suits whatever model. What
follows the prompt, the choices' remaining tokens or greedy decoding, is read from its cache, all
variants at once.

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
from transformers import Cache

from talo_export.models.loading import LoadedModel
from talo_export.models.switching import filled, silenced
from talo_export.probing.answers import Answered, by_likelihood
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded, is_per_token, without_last
from talo_export.probing.engines.naive import (
    generate,
    greedy,
    log_probabilities,
    one_token_each,
    read_generated,
    sequences,
    summed,
)
from talo_export.probing.engines.passes import ALL, SharedModel
from talo_export.probing.engines.plan import Pass, Variant, schedule
from talo_export.probing.engines.rows import cache_argument, fork, has_overwritten_states
from talo_export.probing.engines.walk import CannotShareError, ItemState
from talo_export.probing.scores import Outcome
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
        self._generates = scoring.kind == "generate"
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

        At most `width` variants run at once; it is 1 for stock-shaped passes.
        """
        length = encoded.length
        if not stock_shaped:
            answer_pass = self._from_prompt(encoded)
            length -= self._generates
        elif self._generates:
            answer_pass = self._by_stock_generation(encoded)
        else:
            answer_pass = self._by_stock_likelihood(encoded)
        for plan in schedule(variants, width, missing):
            with torch.inference_mode(), self._meter.item(length), self._filled(plan):
                answers = answer_pass(plan)
            if answers:
                yield [answer for answer in answers if missing is None or answer.variant in missing]

    def _from_prompt(self, encoded: Encoded) -> AnswerPass:
        """One pass over the prompt; what follows it is read from the cache, all variants at once"""
        state, inputs = ItemState(), prompt_inputs(encoded, self._scoring)
        goes_on = self._generates or not one_token_each(encoded)

        def answer_pass(plan: Pass) -> list[Answered]:
            passed = self._model.run(inputs, plan, state, cache=goes_on)
            if passed is None:
                return []
            logits, cache = passed
            if self._generates:
                assert cache is not None
                outcomes, first = self._by_text(encoded, plan.wanted, cache)
            else:
                first = logits[:, -1]
                outcomes = self._by_likelihood(encoded, plan.wanted, first, cache)
            return list(map(Answered, plan.wanted, outcomes, first))

        return answer_pass

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
                    logits.append(passed[0][0, -keep:].float())
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

    def _silenced(self, variants: Sequence[Variant]) -> AbstractContextManager[None]:
        """Each variant silenced in a row of its own."""
        numbers = torch.arange(len(variants))
        masks = {v: numbers == row for row, v in enumerate(variants) if v is not None}
        return silenced(self._loaded.model, self._loaded.decoder, masks)

    def _by_likelihood(
        self, encoded: Encoded, variants: Sequence[Variant], logits: Tensor, cache: Cache | None
    ) -> list[Outcome]:
        """Each variant's outcome from its logits (variants, vocabulary) after the prompt."""
        first = log_probabilities(logits.float())
        sums = torch.stack([first[:, ids[0]].double() for ids in encoded.continuations], dim=1)
        for column, ids in enumerate(encoded.continuations):
            if len(ids) > 1:
                assert cache is not None
                following = self._continued(encoded, variants, cache, ids[:-1])
                wanted = torch.tensor(ids[1:], device=following.device)
                rows = log_probabilities(following.float())
                picked = rows.gather(2, wanted.view(1, -1, 1).expand(len(variants), -1, 1))
                sums[:, column] += picked[:, :, 0].double().sum(dim=1)
        return [by_likelihood(encoded, row, self._scoring.normalise) for row in sums.tolist()]

    def _continued(
        self, encoded: Encoded, variants: Sequence[Variant], cache: Cache, tokens: Sequence[int]
    ) -> Tensor:
        """(variants, tokens, vocabulary) logits of tokens that follow a cached prompt.

        States that are overwritten, as convolutions and recurrences keep them, are continued a
        token at a time: reading several from where they stand is something many models cannot do.
        """
        model = self._loaded.model
        taken = cache_argument(model.forward, fork(cache))
        step = 1 if has_overwritten_states(cache) else len(tokens)
        logits = []
        # Without a mask over tokens every model derives the positions from its cache, for nothing
        # is padded here. What a token may see of a picture has to be said again.
        inputs = {
            name: value[:, encoded.length :]
            for name, value in _repeated(encoded.extended(tokens), len(variants)).items()
            if name == "input_ids" or value.dim() > 2
        }
        with self._silenced(variants):
            for at in range(0, len(tokens), step):
                part = {name: value[:, at : at + step] for name, value in inputs.items()}
                logits.append(model(**part, **taken, use_cache=True).logits)
        return torch.cat(logits, dim=1)

    def _by_text(
        self, encoded: Encoded, variants: Sequence[Variant], cache: Cache
    ) -> tuple[list[Outcome], Tensor]:
        """Each variant's generated answer, and logits (variants, vocabulary) of its first token.

        Stock `generate` on one row a variant, continuing the prompt's cache.
        """
        loaded = self._loaded
        if cache.get_seq_length() != encoded.length - 1:
            name = type(loaded.model).__name__
            raise CannotShareError(f"{name}'s cache does not know its length")
        with self._silenced(variants):
            made = loaded.model.generate(
                **_repeated(encoded.inputs, len(variants)),
                **cache_argument(loaded.model.forward, cache),
                **greedy(loaded, self._scoring.new_tokens(encoded.item)),
            )
        return read_generated(loaded, encoded, made), made.logits[0]


def prompt_inputs(encoded: Encoded, scoring: Scoring) -> dict[str, Any]:
    """What the shared passes read: the prompt, less its last token where text is generated.

    `generate` goes on from a cache by reading the tokens that are not in it, and there must be
    one: it reads the last and thereby does everything, first token included, as it always does.
    """
    if scoring.kind == "likelihood":
        return encoded.inputs
    return without_last(encoded.inputs, 1, encoded.item)


def _repeated(inputs: dict[str, Any], rows: int) -> dict[str, Tensor]:
    """What of the inputs has an entry for each token, as so many equal rows."""
    return {
        name: value.expand(rows, *[-1] * (value.dim() - 1))
        for name, value in inputs.items()
        if is_per_token(value, inputs["input_ids"])
    }
