"""The plain way: for each variant switch the layer off, then run the stock model on each item.

Nothing is reused, so nothing can be reused wrongly. It is the yardstick of every other engine, and
its answers are, bit for bit, those of the stock model loaded from an exported checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from talo_export.knockout import Knockout
from talo_export.models.last_logits import at_last
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import is_out_of_memory
from talo_export.models.proof import BaseAnswer, refuse_broken_weights
from talo_export.models.switching import knocked_out
from talo_export.probing.answers import Answered, by_likelihood, by_tokens
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.width import too_large
from talo_export.probing.journal import Cell
from talo_export.probing.scores import Outcome
from talo_export.probing.settings import Scoring


@dataclass(frozen=True)
class Todo:
    """One item in work. `missing` are the variants that have yet to answer it."""

    encoded: Encoded
    missing: tuple[Knockout | None, ...]


class Naive:
    """One stock forward pass (or generation) for each cell."""

    def __init__(self, loaded: LoadedModel, scoring: Scoring, meter: Meter) -> None:
        self._loaded = loaded
        self._scoring = scoring
        self._meter = meter
        self._proof: BaseAnswer | None = None

    def answer(
        self, todos: Sequence[Todo], variants: Sequence[Knockout | None]
    ) -> Iterator[list[Cell]]:
        """Answer every missing cell, variant by variant; a cell at a time may be committed."""
        for variant in variants:
            items = [todo.encoded for todo in todos if variant in todo.missing]
            if items:
                with self.variant(variant):
                    for encoded in items:
                        answered = self.ask(variant, encoded)
                        yield [Cell(variant, encoded.item.id, answered.outcome)]

    def ask(self, variant: Knockout | None, encoded: Encoded) -> Answered:
        """The model's answer to one item as the model now is."""
        try:
            with self._meter.item(encoded.length), torch.inference_mode():
                outcome, logits = answer_alone(self._loaded, encoded, self._scoring)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise too_large(encoded) from error
            raise
        return Answered(variant, outcome, logits)

    def variant(self, variant: Knockout | None) -> AbstractContextManager[object]:
        """The model as this variant, its effect proved on entry."""
        if variant is None:
            return nullcontext()
        model, decoder = self._loaded.model, self._loaded.decoder
        if self._proof is None:
            self._proof = BaseAnswer.of(model)
            if not bool(self._proof.logits.isfinite().all()):
                refuse_broken_weights(model)
        return knocked_out(model, decoder, variant, self._proof)


def answer_alone(loaded: LoadedModel, encoded: Encoded, scoring: Scoring) -> tuple[Outcome, Tensor]:
    """The answer of the model as it stands, and its logits (vocabulary,) after the prompt."""
    if scoring.kind == "generate":
        return generate(loaded, encoded, scoring)
    sums, logits = likelihoods(loaded, encoded)
    return by_likelihood(encoded, sums, scoring.normalise), logits


def passes(encoded: Encoded, scoring: Scoring) -> int:
    """Forward passes over the prompt that the plain way takes for this item."""
    if scoring.kind == "generate" or one_token_each(encoded):
        return 1
    return len(encoded.continuations)


def one_token_each(encoded: Encoded) -> bool:
    """Whether every choice is told by the logits after the prompt."""
    return all(len(ids) == 1 for ids in encoded.continuations)


def likelihoods(loaded: LoadedModel, encoded: Encoded) -> tuple[list[float], Tensor]:
    """Each choice's log-likelihood in nats after the prompt, and the logits there."""
    logits = [
        loaded.model(**inputs, use_cache=False).logits[0, -keep:].float()
        for inputs, keep in sequences(loaded.model, encoded)
    ]
    return summed(encoded, logits)


def sequences(model: nn.Module, encoded: Encoded) -> list[tuple[Mapping[str, Any], int]]:
    """The arguments of each pass that one item takes, and how many last positions are read.

    The prompt alone where every choice is one token, else the prompt with each choice.
    """
    if one_token_each(encoded):
        return [({**encoded.inputs, **at_last(model, 1)}, 1)]
    return [
        ({**encoded.extended(ids[:-1]), **at_last(model, len(ids))}, len(ids))
        for ids in encoded.continuations
    ]


def summed(encoded: Encoded, logits: Sequence[Tensor]) -> tuple[list[float], Tensor]:
    """Each choice's log-likelihood in nats, and the logits (vocabulary,) after the prompt.

    `logits` are the (positions, vocabulary) of each of `sequences`.
    """
    if one_token_each(encoded):
        row = log_probabilities(logits[0])[0]
        return [float(row[ids[0]]) for ids in encoded.continuations], logits[0][0]
    sums = []
    for ids, rows in zip(encoded.continuations, logits, strict=True):
        picked = log_probabilities(rows).gather(
            1, torch.tensor(ids, device=rows.device).unsqueeze(1)
        )
        sums.append(float(picked.double().sum()))
    return sums, logits[-1][0]


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over the vocabulary; a row with a NaN or Inf becomes NaN throughout."""
    broken = ~torch.isfinite(logits).all(dim=-1, keepdim=True)
    return torch.log_softmax(logits, dim=-1).masked_fill(broken, torch.nan)


def generate(loaded: LoadedModel, encoded: Encoded, scoring: Scoring) -> tuple[Outcome, Tensor]:
    """Stock greedy generation with the letters' log-likelihoods, and the first step's logits."""
    made = loaded.model.generate(
        **encoded.inputs, **greedy(loaded, scoring.new_tokens(encoded.item))
    )
    (outcome,) = read_generated(loaded, encoded, made)
    return outcome, made.logits[0][0]


def read_generated(loaded: LoadedModel, encoded: Encoded, made: Any) -> list[Outcome]:
    """The outcome of every row of what `generate` gave."""
    ends = end_tokens(loaded)
    outcomes = []
    for row, sequence in enumerate(made.sequences[:, encoded.length :].tolist()):
        tokens = up_to_end(sequence, ends)
        steps = [step[row] for step in made.logits[: len(tokens)]]
        finite = all(bool(torch.isfinite(step).all()) for step in steps)
        letters = None
        if finite and encoded.continuations:
            first = log_probabilities(steps[0].float())
            letters = [float(first[ids[0]]) for ids in encoded.continuations]
        outcomes.append(by_tokens(loaded, encoded, tokens, letters, finite))
    return outcomes


def end_tokens(loaded: LoadedModel) -> list[int]:
    """The tokens that end a generation, the model's first one first."""
    ends = loaded.model.generation_config.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends or ())


def up_to_end(tokens: list[int], ends: list[int]) -> list[int]:
    """A row's own tokens: what follows its end is padding for the rows that go on."""
    for at, token in enumerate(tokens):
        if token in ends:
            return tokens[: at + 1]
    return tokens


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
