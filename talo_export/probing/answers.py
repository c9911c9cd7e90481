"""From what a model put out to an Outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedProcessor
from talo_export.probing.encoding import Encoded
from talo_export.probing.scores import Outcome
from talo_export.probing.settings import Normalise
from talo_export.tasks.answers import is_right, read_answer
from talo_export.tasks.thoughts import is_mark, left_open

END_OF_PROMPT = 16
"""Tokens at a prompt's end that hold whatever mark opens the model's thoughts."""


@dataclass(frozen=True, eq=False)
class Answered:
    """One variant's outcome on an item, and its logits (vocabulary,) right after the prompt."""

    variant: Knockout | None
    outcome: Outcome
    logits: Tensor

    def same_bits(self, other: Answered) -> bool:
        """Whether the outcomes and every logit are equal."""
        return self.outcome == other.outcome and torch.equal(self.logits, other.logits)


BROKEN = Outcome(correct=False, parsed=False, answer="", finite=False)
"""A NaN or Inf among the logits: no answer at all, however an argmax would have fallen."""


def by_likelihood(encoded: Encoded, sums: Sequence[float], normalise: Normalise) -> Outcome:
    """The choice of greatest log-likelihood; `sums` are nats over each choice's tokens.

    The first choice wins an exact tie, as argmax does.
    """
    if not all(map(math.isfinite, sums)):
        return BROKEN
    item = encoded.item
    scores = sums if encoded.lettered else normalised(encoded, sums, normalise)
    choice = max(range(len(scores)), key=lambda index: (scores[index], -index))
    return Outcome(
        correct=is_right(item, choice),
        parsed=True,
        answer=item.choices[choice],
        choice=choice,
        scores=tuple(scores),
    )


def by_tokens(
    loaded: LoadedProcessor,
    encoded: Encoded,
    tokens: Sequence[int],
    letter_scores: Sequence[float] | None,
    finite: bool,
) -> Outcome:
    """The answer read out of generated tokens; `letter_scores` are the letters' nats, if any."""
    if not finite:
        return BROKEN
    text = spoken(loaded.tokenizer, encoded.inputs["input_ids"][0].tolist(), tokens)
    reading = read_answer(text, encoded.item)
    return Outcome(
        correct=reading.correct,
        parsed=reading.parsed,
        answer=text.strip(),
        choice=reading.choice,
        scores=None if letter_scores is None else tuple(letter_scores),
    )


def spoken(tokenizer: Any, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """The text of generated tokens, without special ones but for those that mark thoughts.

    It begins with the mark that the prompt's own end opens the thoughts with, if any: what
    follows is no answer until they end.
    """
    special = {
        token: added.content
        for token, added in getattr(tokenizer, "added_tokens_decoder", {}).items()
        if added.special
    }
    opened = left_open(tokenizer.decode(prompt[-END_OF_PROMPT:]))
    if not any(is_mark(special.get(token, "")) for token in tokens):
        return opened + tokenizer.decode(tokens, skip_special_tokens=True)
    kept = [token for token in tokens if token not in special or is_mark(special[token])]
    return opened + tokenizer.decode(kept)


def normalised(encoded: Encoded, sums: Sequence[float], normalise: Normalise) -> list[float]:
    """Each choice's sum as it is, or divided by its number of tokens or characters."""
    if normalise == "tokens":
        return [s / len(ids) for s, ids in zip(sums, encoded.continuations, strict=True)]
    if normalise == "characters":
        pairs = zip(sums, encoded.item.choices, strict=True)
        return [s / max(len(text), 1) for s, text in pairs]
    return list(sums)
