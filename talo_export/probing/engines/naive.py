"""The plain way: for each variant switch the layer off, then run the stock model on each item.

Nothing is reused, so nothing can be reused wrongly. It is the yardstick of every other engine, and
its answers are, bit for bit, those of the stock model loaded from an exported checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from talo_export.knockout import Knockout
from talo_export.models.interventions import knock_out
from talo_export.models.loading import LoadedModel
from talo_export.models.proof import BaseAnswer
from talo_export.probing.answers import by_likelihood, by_text
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.journal import Cell
from talo_export.probing.scores import Outcome
from talo_export.probing.settings import Scoring

Work = Mapping["Knockout | None", Sequence[Encoded]]
"""What is still to be answered: the items of one batch, by variant."""


class Naive:
    """One stock forward pass (or generation) for each cell."""

    name = "naive"

    def __init__(self, loaded: LoadedModel, scoring: Scoring, meter: Meter) -> None:
        self._loaded = loaded
        self._scoring = scoring
        self._meter = meter
        self._proof: BaseAnswer | None = None

    def answer(self, work: Work) -> Iterator[Cell]:
        """Answer every cell of the batch."""
        for variant, items in work.items():
            with self._variant(variant):
                for encoded in items:
                    with self._meter.item(encoded.length):
                        outcome = answer_alone(self._loaded, encoded, self._scoring)
                    yield Cell(variant, encoded.item.id, outcome)

    def _variant(self, variant: Knockout | None) -> AbstractContextManager[object]:
        if variant is None:
            return nullcontext()
        model, decoder = self._loaded.model, self._loaded.decoder
        if self._proof is None:
            self._proof = BaseAnswer.of(model)
        return knock_out(model, decoder, variant, base=self._proof)


def answer_alone(loaded: LoadedModel, encoded: Encoded, scoring: Scoring) -> Outcome:
    """The model's answer to one item as it stands, with no engine around it."""
    with torch.inference_mode():
        if scoring.kind == "generate":
            return generate(loaded, encoded, scoring)
        return by_likelihood(encoded, likelihoods(loaded, encoded), scoring.normalise)


def passes(encoded: Encoded, scoring: Scoring) -> int:
    """Forward passes over the prompt that the plain way takes for this item."""
    if scoring.kind == "generate" or all(len(ids) == 1 for ids in encoded.continuations):
        return 1
    return len(encoded.continuations)


def likelihoods(loaded: LoadedModel, encoded: Encoded) -> list[float]:
    """Each choice's log-likelihood in nats after the prompt."""
    if all(len(ids) == 1 for ids in encoded.continuations):
        rows = log_probabilities(last_logits(loaded, encoded.inputs, 1))
        return [float(rows[-1, ids[0]]) for ids in encoded.continuations]
    sums = []
    for ids in encoded.continuations:
        logits = last_logits(loaded, encoded.extended(ids[:-1]), len(ids))
        picked = log_probabilities(logits).gather(
            1, torch.tensor(ids, device=logits.device).unsqueeze(1)
        )
        sums.append(float(picked.double().sum()))
    return sums


def last_logits(loaded: LoadedModel, inputs: Mapping[str, Any], keep: int) -> Tensor:
    """(keep, vocabulary) logits at the last positions, in float32."""
    logits = loaded.model(**inputs, use_cache=False).logits
    return logits[0, -keep:].float()


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over the vocabulary; a row with a NaN or Inf becomes NaN throughout."""
    broken = ~torch.isfinite(logits).all(dim=-1, keepdim=True)
    return torch.log_softmax(logits, dim=-1).masked_fill(broken, torch.nan)


def generate(loaded: LoadedModel, encoded: Encoded, scoring: Scoring) -> Outcome:
    """Stock greedy generation, and the letters' log-likelihoods at its first position."""
    made = loaded.model.generate(
        **encoded.inputs, **greedy(loaded, scoring.new_tokens(bool(encoded.item.choices)))
    )
    tokens = made.sequences[0, encoded.length :]
    finite = all(bool(torch.isfinite(step[0]).all()) for step in made.logits)
    letters = None
    if finite and encoded.continuations:
        first = log_probabilities(made.logits[0][0].float())
        letters = [float(first[ids[0]]) for ids in encoded.continuations]
    text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
    return by_text(encoded.item, text, letters, finite)


def greedy(loaded: LoadedModel, new_tokens: int) -> dict[str, Any]:
    """Arguments of `generate` for greedy decoding, whatever the model's own defaults sample."""
    return {
        "max_new_tokens": new_tokens,
        "do_sample": False,
        "num_beams": 1,
        "temperature": None,
        "top_p": None,
        "top_k": None,
        "pad_token_id": loaded.tokenizer.pad_token_id,
        "return_dict_in_generate": True,
        "output_logits": True,
    }
