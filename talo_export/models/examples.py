"""The smallest inputs a model runs on, for tracing it and for proving a knockout's effect.

Text alone for almost all; what else a model insists on shows in the names of its forward's
arguments, which are the same across transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

FIRST_TOKEN = 3
"""Ids below are special tokens nearly everywhere, and those of images are far above."""

VARIANTS: tuple[tuple[str, ...], ...] = (
    ("input_ids",),
    ("input_ids", "bbox"),
    ("input_ids", "cross_attention_states"),
    ("input_ids", "pixel_values", "qformer_input_ids"),
    ("input_ids", "frames", "qformer_input_ids"),
    ("input_ids", "pixel_values"),
    ("input_ids", "image_embeds", "image_embeds_position_mask"),
    ("input_ids", "image_encoder_embeddings", "image_attention_mask"),
    ("encoder_outputs",),
    ("codes",),
)
"""What to try together, the plainest first; a model's forward must know all the arguments."""

ARGUMENTS = {"frames": "pixel_values", "codes": "input_ids"}
"""The argument that a thing is given as, where it is not called so itself."""


def smallest_inputs(model: PreTrainedModel, positions: int) -> Iterator[dict[str, Any]]:
    """Keyword arguments for a forward of `positions` text tokens, batch of one, to try in turn.

    Tensors are made on torch's current default device.
    """
    known = inspect.signature(model.forward).parameters
    maker = InputMaker(model, positions)
    for names in VARIANTS:
        if not all(ARGUMENTS.get(name, name) in known for name in names):
            continue
        if "decoder_input_ids" in known:
            names = (*names, "decoder_input_ids")
        try:
            inputs = {ARGUMENTS.get(name, name): getattr(maker, name)() for name in names}
        except (AttributeError, NotImplementedError):
            # The config has not the entries by which these arguments are sized elsewhere.
            continue
        if "use_cache" in known or any(p.kind is p.VAR_KEYWORD for p in known.values()):
            inputs["use_cache"] = False
        yield inputs


@dataclass(frozen=True)
class InputMaker:
    """Makes each kind of input at the size the model's config asks for. B = 1, T = positions."""

    model: PreTrainedModel
    positions: int

    def input_ids(self) -> Tensor:
        """(B, T) consecutive ids, after as many image tokens as a querying transformer puts out."""
        text = torch.arange(FIRST_TOKEN, FIRST_TOKEN + self.positions).unsqueeze(0)
        config = self.model.config
        queries = getattr(config, "num_query_tokens", None)
        image = getattr(config, "image_token_id", getattr(config, "video_token_id", None))
        if queries is None or image is None:
            return text
        return torch.cat([torch.full((1, queries), image), text], dim=1)

    def codes(self) -> Tensor:
        """(codebooks, T) the same consecutive ids out of every codebook of an audio decoder."""
        return self.decoder_input_ids().repeat(self.model.config.num_codebooks, 1)

    def decoder_input_ids(self) -> Tensor:
        """(B, T)"""
        return torch.arange(FIRST_TOKEN, FIRST_TOKEN + self.positions).unsqueeze(0)

    def qformer_input_ids(self) -> Tensor:
        """(B, T)"""
        return self.decoder_input_ids()

    def bbox(self) -> Tensor:
        """(B, T, 4) places of the words on a page."""
        return torch.zeros(1, self.positions, 4)

    def pixel_values(self) -> Tensor:
        """(B, channels, height, width)"""
        vision = getattr(self.model.config, "vision_config", self.model.config)
        size = getattr(vision, "image_size", 28)
        height, width = (size, size) if isinstance(size, int) else size
        return self._ramp(1, getattr(vision, "num_channels", 3), height, width)

    def frames(self) -> Tensor:
        """(B, 1, channels, height, width) a film of one picture."""
        return self.pixel_values().unsqueeze(1)

    def cross_attention_states(self) -> Tensor:
        """(B, T + 2, width) what a vision tower would hand to cross-attention layers."""
        return self._ramp(1, self.positions + 2, self._width())

    def encoder_outputs(self) -> BaseModelOutput:
        """(B, T + 2, width) an encoder's last hidden states."""
        return BaseModelOutput(last_hidden_state=self._ramp(1, self.positions + 2, self._width()))

    def image_embeds(self) -> Tensor:
        """(0, width) no image at all, for models that insist on the argument."""
        return self._ramp(0, self._width())

    def image_embeds_position_mask(self) -> Tensor:
        """(B, T) no position is an image's."""
        return torch.zeros(1, self.positions, dtype=torch.long)

    def image_encoder_embeddings(self) -> Tensor:
        """(B, images, patches, width)"""
        return self._ramp(1, 1, 4, self.model.config.vision_config.embed_dim)

    def image_attention_mask(self) -> Tensor:
        """(B, T, images) every token sees the image."""
        return torch.ones(1, self.positions, 1, dtype=torch.long)

    def _width(self) -> int:
        return self.model.get_input_embeddings().weight.shape[-1]

    def _ramp(self, *shape: int) -> Tensor:
        """Values from -1 to 1, so that no two positions are alike."""
        return torch.linspace(-1, 1, prod(shape), dtype=self.model.dtype).view(*shape)
