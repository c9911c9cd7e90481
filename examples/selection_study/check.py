"""What `one_pass.py` gives, held against the product's plain engine on the same items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from cuts import BASE, Cut
from numpy.typing import NDArray
from one_pass import OnePass, low_rank

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.tasks.item import Item


def check(
    loaded: LoadedModel, items: Sequence[Item], scoring: Scoring, cuts: Sequence[Cut]
) -> float:
    """The largest difference of a log-share, in nats, to the plain engine."""
    fast = OnePass(loaded)
    fast.share(items, scoring, cuts)
    ours = [fast.log_shares(item, scoring) for item in items]
    return max(
        float(np.abs(row[: len(choices)] - shares[at]).max())
        for at, cut in enumerate(cuts)
        for row, choices, shares in zip(
            plain(loaded, items, scoring, cut), [i.choices for i in items], ours, strict=True
        )
    )


def plain(
    loaded: LoadedModel, items: Sequence[Item], scoring: Scoring, cut: Cut
) -> NDArray[np.float64]:
    """(items, choices) log-shares by the product, NaN beyond an item's choices."""
    knockout = as_knockout(cut)
    variants = (None,) if knockout is None else (None, knockout)
    with weights_changed(loaded, cut):
        scores = sweep(loaded, items, variants, scoring, engine="naive").table.scores
    assert scores is not None
    row = scores[-1]
    shares: NDArray[np.float64] = row - np.log(np.nansum(np.exp(row), axis=1, keepdims=True))
    return shares


def as_knockout(cut: Cut) -> Knockout | None:
    """What the product calls it; None for what it cannot name, and for the base."""
    match cut.family:
        case "attention":
            return Knockout(cut.layer)
        case "mlp":
            return Knockout(cut.layer, "mlp")
        case "heads":
            return Knockout(cut.layer, heads=((cut.second,),))
        case "pairs":
            return Knockout(cut.layer, also=(cut.second,))
    return None


@contextmanager
def weights_changed(loaded: LoadedModel, cut: Cut) -> Iterator[None]:
    """Halves and ranks in the weights: stock engines load them as they load any other."""
    if cut == BASE or cut.family not in ("half", "rank"):
        yield
        return
    layer = loaded.model.model.layers[cut.layer]
    # Gemma's norm behind the attention would undo a half, so the norm itself is halved: 1 + weight.
    gemma = cut.family == "half" and hasattr(layer, "post_feedforward_layernorm")
    module = layer.mlp.down_proj if cut.family == "rank" else layer.self_attn.o_proj
    weight = layer.post_attention_layernorm.weight if gemma else module.weight
    original = weight.detach().clone()
    with torch.no_grad():
        if cut.family == "rank":
            left, right = low_rank(original)
            weight.copy_(left @ right)
        else:
            weight.copy_((original - 1) / 2 if gemma else original / 2)
    try:
        yield
    finally:
        with torch.no_grad():
            weight.copy_(original)
