"""Labelled items as examples: to be trained on, or to be shown in the prompt of another item.

To train on: an item's prompt as the probe encodes it, then the right answer's tokens. To show: an
item with answered ones before it is an item again, so it is rendered, encoded and scored as any
other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from talo_export.baselines.calibration import NotApplicableError
from talo_export.errors import TaloError
from talo_export.models.last_logits import at_last
from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import (
    Encoded,
    ItemTooLongError,
    choice_endings,
    continue_prompt,
    encode,
    prompt_of,
    prompt_text,
    without_last,
)
from talo_export.probing.engines.naive import end_tokens
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import LETTERS, Item
from talo_export.tasks.prompts import render


@dataclass(frozen=True, eq=False)
class Example:
    """One item to learn from. `inputs` hold the prompt and the answer, (1, length) token ids;
    the loss is on the last `answer_length` of them only."""

    item: Item
    inputs: dict[str, Any]
    answer_length: int


def make_example(loaded: LoadedModel, item: Item, scoring: Scoring) -> Example:
    """Encode an item with its answer, in the form in which `scoring` will look for it.

    Under likelihood the tokens whose log-probability is compared (a letter, or a choice's text);
    under generation what the model should write, and then its end token. Raises TaloError for an
    item that does not fit the model.
    """
    encoded = encode(loaded, item, scoring)
    if encoded.continuations and item.answer is not None:
        tokens = encoded.continuations[item.answer]
    else:
        encoded, tokens = _written_answer(loaded, item, scoring, encoded)
    if scoring.kind == "generate":
        tokens = (*tokens, end_token(loaded))
    return Example(item, encoded.extended(tokens), len(tokens))


def answer_text(item: Item) -> str:
    """What the model should say: the letter, the choice's text, or the first accepted text."""
    if item.answer is None:
        return item.accepted[0]
    return LETTERS[item.answer] if render(item).lettered else item.choices[item.answer]


def answer_loss(model: nn.Module, example: Example) -> Tensor:
    """Mean negative log-likelihood of the answer's tokens, in nats, with its graph."""
    kept = example.answer_length + 1
    output = model(**example.inputs, use_cache=False, **at_last(model, kept))
    logits = output.logits[0, -kept:-1]
    wanted = example.inputs["input_ids"][0, -example.answer_length :]
    return nn.functional.cross_entropy(logits.float(), wanted.to(logits.device))


def end_token(loaded: LoadedModel) -> int:
    """The token that ends an answer: the tokenizer's end where generation stops there, else the
    first at which it stops. Raises TaloError where there is none."""
    stops = end_tokens(loaded)
    own = loaded.tokenizer.eos_token_id
    if own is not None and (own in stops or not stops):
        return int(own)
    if not stops:
        raise TaloError(f"{loaded.name} names no end token: train with --scoring likelihood.")
    return stops[0]


def _written_answer(
    loaded: LoadedModel, item: Item, scoring: Scoring, encoded: Encoded
) -> tuple[Encoded, tuple[int, ...]]:
    """The answer tokenised after the prompt, which may swallow some of the prompt's last tokens."""
    text, templated = prompt_text(loaded, item, prompt_of(item, scoring), scoring.system)
    said = answer_text(item)
    ending = choice_endings(replace(item, choices=(said,)), by_letter=False, templated=templated)
    drop, (tokens,) = continue_prompt(loaded.tokenizer, text, ending, item)
    return replace(encoded, inputs=without_last(encoded.inputs, drop, item)), tokens


def with_examples(item: Item, shots: Sequence[Item], style: str = "lmms-eval") -> Item:
    """The item with answered shots before it, in one prompt (one user turn); its pictures last."""
    blocks = []
    for shot in shots:
        prompt = render(shot, style=style)
        gap = " " if prompt.verbatim else "\n"
        blocks.append(f"{prompt.text.rstrip()}{gap}{answer_text(shot)}")
    images = tuple(image for shot in shots for image in shot.images) + item.images
    if item.prompt is not None:
        return replace(item, prompt="\n\n".join([*blocks, item.prompt]), images=images)
    asked = item.question or ""
    if item.hint:
        # The prompt styles put a hint first; it belongs to this item, not to the examples.
        asked = f"Context: {item.hint}\n{asked}"
    return replace(item, question="\n\n".join([*blocks, asked]), hint=None, images=images)


def in_context(
    loaded: LoadedModel,
    items: Sequence[Item],
    shots: Sequence[Item],
    scoring: Scoring,
    *,
    seed: int,
) -> tuple[list[Item], int]:
    """(every item with as many shots as fit beside the longest item, how many these are).

    Shots stand in an order drawn from `seed`. Raises NotApplicableError where the context has no
    room for one.
    """
    style = scoring.prompt_style or "lmms-eval"
    order = sorted(shots, key=lambda s: hashlib.sha256(f"{seed}\n{s.id}".encode()).digest())
    shown = len(order)
    while shown:
        asked = [with_examples(item, order[:shown], style) for item in items]
        if all(_fits(loaded, item, scoring) for item in asked):
            return asked, shown
        shown //= 2
    raise NotApplicableError("the context has no room for one example beside the longest item")


def _fits(loaded: LoadedModel, item: Item, scoring: Scoring) -> bool:
    try:
        encode(loaded, item, scoring)
    except ItemTooLongError:
        return False
    return True
