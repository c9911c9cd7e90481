"""From a pass over the prompt to answers: the choices' remaining tokens, or greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.models.switching import silenced
from talo_export.probing.answers import by_likelihood
from talo_export.probing.encoding import Encoded, is_per_token, without_last
from talo_export.probing.engines.caches import cache_argument, fork, has_overwritten_states
from talo_export.probing.engines.naive import (
    greedy,
    log_probabilities,
    one_token_each,
    read_generated,
)
from talo_export.probing.engines.walk import CannotShareError
from talo_export.probing.scores import Outcome
from talo_export.probing.settings import Scoring


def prompt_inputs(encoded: Encoded, scoring: Scoring) -> dict[str, Any]:
    """What the shared passes read: the prompt, less its last token where text is generated.

    `generate` goes on from a cache by reading the tokens that are not in it, and there must be
    one: it reads the last and thereby does everything, first token included, as it always does.
    """
    if scoring.kind == "likelihood":
        return encoded.inputs
    return without_last(encoded.inputs, 1, encoded.item)


def needs_cache(encoded: Encoded, scoring: Scoring) -> bool:
    """Whether anything follows the prompt."""
    return scoring.kind == "generate" or not one_token_each(encoded)


def answers_by_likelihood(
    loaded: LoadedModel,
    encoded: Encoded,
    variants: Sequence[Knockout | None],
    logits: Tensor,
    cache: Cache | None,
    scoring: Scoring,
) -> list[Outcome]:
    """Each variant's outcome from its logits (variants, vocabulary) after the prompt.

    The choices' tokens after their first are read from the prompt's cache, all variants at once.
    """
    first = log_probabilities(logits.float())
    sums = torch.stack([first[:, ids[0]].double() for ids in encoded.continuations], dim=1)
    for column, ids in enumerate(encoded.continuations):
        if len(ids) > 1:
            assert cache is not None
            following = continued(loaded, encoded, variants, cache, ids[:-1])
            wanted = torch.tensor(ids[1:], device=following.device)
            rows = log_probabilities(following.float())
            picked = rows.gather(2, wanted.view(1, -1, 1).expand(len(variants), -1, 1))
            sums[:, column] += picked[:, :, 0].double().sum(dim=1)
    return [by_likelihood(encoded, row, scoring.normalise) for row in sums.tolist()]


def continued(
    loaded: LoadedModel,
    encoded: Encoded,
    variants: Sequence[Knockout | None],
    cache: Cache,
    tokens: Sequence[int],
) -> Tensor:
    """(variants, tokens, vocabulary) logits of tokens that follow a cached prompt.

    States that are overwritten, as convolutions and recurrences keep them, are continued a token
    at a time: reading several from where they stand is something many models cannot do.
    """
    taken = cache_argument(loaded.model.forward, fork(cache))
    step = 1 if has_overwritten_states(cache) else len(tokens)
    logits = []
    # Without a mask over tokens every model derives the positions from its cache, for nothing is
    # padded here. What a token may see of a picture has to be said again.
    whole = encoded.extended(tokens)
    inputs = {
        name: value[:, encoded.length :].expand(len(variants), *[-1] * (value.dim() - 1))
        for name, value in whole.items()
        if is_per_token(value, whole["input_ids"]) and (name == "input_ids" or value.dim() > 2)
    }
    with silenced(loaded.model, loaded.decoder, row_masks(variants)):
        for at in range(0, len(tokens), step):
            part = {name: value[:, at : at + step] for name, value in inputs.items()}
            output = loaded.model(**part, **taken, use_cache=True)
            logits.append(output.logits)
    return torch.cat(logits, dim=1)


def answers_by_text(
    loaded: LoadedModel,
    encoded: Encoded,
    variants: Sequence[Knockout | None],
    cache: Cache,
    scoring: Scoring,
) -> tuple[list[Outcome], Tensor]:
    """Each variant's generated answer, and the logits (variants, vocabulary) of its first token.

    Stock `generate` on one row a variant, continuing the prompt's cache.
    """
    rows = {
        name: value.expand(len(variants), *[-1] * (value.dim() - 1))
        for name, value in encoded.inputs.items()
        if is_per_token(value, encoded.inputs["input_ids"])
    }
    if cache.get_seq_length() != encoded.length - 1:
        raise CannotShareError(f"{type(loaded.model).__name__}'s cache does not know its length")
    with silenced(loaded.model, loaded.decoder, row_masks(variants)):
        made = loaded.model.generate(
            **rows,
            **cache_argument(loaded.model.forward, cache),
            **greedy(loaded, scoring.new_tokens(encoded.item)),
        )
    return read_generated(loaded, encoded, made), made.logits[0]


def row_masks(variants: Sequence[Knockout | None]) -> dict[Knockout, Tensor]:
    """Variant -> which row is its own."""
    numbers = torch.arange(len(variants))
    return {v: numbers == row for row, v in enumerate(variants) if v is not None}
