"""Few-shot prompting: the labelled items, answered, before the item that is asked.

An item with examples is an item again, so it is rendered, encoded and scored as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from talo_export.baselines.calibration import NotApplicableError
from talo_export.baselines.examples import answer_text
from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import ItemTooLongError, encode
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import render


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
