"""Builders of tiny random models that are complete enough to be asked a question."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tiny_models import byte_tokenizer, llava_config, llava_processor, text_config
from torch import nn
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
)

from talo_export.models.finding import find_decoder
from talo_export.models.loading import LoadedModel
from talo_export.tasks.item import ItemImage


def loaded_llama(layers: int = 4, tokenizer: Any = None, **changes: Any) -> LoadedModel:
    """A random text model."""
    torch.manual_seed(layers)
    tokenizer = tokenizer or byte_tokenizer()
    return as_loaded(LlamaForCausalLM(text_config(layers, **changes)), tokenizer, tokenizer)


def loaded_gemma3(layers: int = 4) -> LoadedModel:
    """A random text model whose norms stand behind attention and feed-forward too."""
    torch.manual_seed(layers)
    tokenizer = byte_tokenizer()
    kinds = ["sliding_attention", "full_attention"] * (layers // 2)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, head_dim=16,
        num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=1, layer_types=kinds,
        sliding_window=512, query_pre_attn_scalar=16, initializer_range=0.2,
    )  # fmt: skip
    return as_loaded(Gemma3ForCausalLM(config), tokenizer, tokenizer)


def loaded_llava(layers: int = 3) -> LoadedModel:
    """A random vision-language model: four image tokens a picture."""
    torch.manual_seed(layers)
    tokenizer = byte_tokenizer()
    model = LlavaForConditionalGeneration(llava_config(text_config(layers)))
    return as_loaded(model, llava_processor(tokenizer), tokenizer, is_vlm=True)


def as_loaded(
    model: nn.Module, processor: Any, tokenizer: Any, *, is_vlm: bool = False
) -> LoadedModel:
    """What `load_model` would give for these."""
    model.eval().requires_grad_(False)
    return LoadedModel(
        model=model,
        processor=processor,
        tokenizer=tokenizer,
        decoder=find_decoder(model),
        directory=Path("nowhere"),
        name=type(model).__name__,
        revision=None,
        is_vlm=is_vlm,
    )


def picture(seed: int) -> ItemImage:
    """A small plain picture, another colour for every seed."""
    buffer = io.BytesIO()
    colour = (40 * seed % 256, 90 * seed % 256, 160)
    Image.new("RGB", (20, 14), colour).save(buffer, "PNG")
    return ItemImage(name=f"picture-{seed}.png", data=buffer.getvalue())
