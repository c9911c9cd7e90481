"""The smallest inputs a model runs on, for tracing it and for proving a knockout's effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

Inputs = dict[str, Callable[[], Any]]
"""Keyword arguments of a forward, each as a function that makes it on the current device."""


def smallest_inputs(model: PreTrainedModel, positions: int) -> Iterator[Inputs]:
    """Kinds of inputs to try in turn: text alone, then what else models ask for."""
    ids = token_ids(positions)
    text: Inputs = {"input_ids": ids, "use_cache": lambda: False}
    yield text
    width = model.config.get_text_config().hidden_size
    yield {
        "decoder_input_ids": ids,
        "encoder_outputs": lambda: (torch.zeros(1, positions + 2, width),),
        "use_cache": lambda: False,
    }


def token_ids(positions: int) -> Callable[[], Tensor]:
    """(1, positions) ids from 3 on, below the special tokens that stand for images."""
    return lambda: torch.arange(3, 3 + positions).unsqueeze(0)
