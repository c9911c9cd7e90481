"""Builders of tiny random models that are complete enough to be asked a question."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from talo_export.models.finding import find_decoder
from talo_export.models.loading import LoadedModel
from talo_export.tasks.item import ItemImage

SPECIAL = ("<pad>", "<s>", "</s>", "<image>")
TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}{{ turn['role'] }}: "
    "{% if turn['content'] is string %}{{ turn['content'] }}"
    "{% else %}{% for part in turn['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endif %}{{ '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
VOCABULARY = 256 + len(SPECIAL)


def byte_tokenizer(
    template: str | None = TEMPLATE, merges: Sequence[tuple[str, str]] = ()
) -> PreTrainedTokenizerFast:
    """One token a byte, more for `merges`; adds a beginning-of-text token by itself."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    core = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, list(merges)))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=["<image>"],
    )
    tokenizer.chat_template = template
    return tokenizer


def text_config(layers: int, **changes: Any) -> LlamaConfig:
    """A Llama's config, a few thousand weights a layer."""
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        # Random weights of the usual scale hardly disturb each other; these do.
        "initializer_range": 0.2,
    }
    return LlamaConfig(**{**shape, **changes})


def loaded_llama(layers: int = 4, tokenizer: Any = None, **changes: Any) -> LoadedModel:
    """A random text model."""
    torch.manual_seed(layers)
    tokenizer = tokenizer or byte_tokenizer()
    return as_loaded(LlamaForCausalLM(text_config(layers, **changes)), tokenizer, tokenizer)


def loaded_llava(layers: int = 3) -> LoadedModel:
    """A random vision-language model: four image tokens a picture."""
    torch.manual_seed(layers)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        image_size=16, patch_size=8, projection_dim=16, initializer_range=0.2,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision,
        text_config=text_config(layers),
        image_token_id=3,
        image_seq_length=4,
        initializer_range=0.2,
    )
    tokenizer = byte_tokenizer()
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"height": 16, "width": 16}, crop_size={"height": 16, "width": 16}
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=1,
    )
    return as_loaded(LlavaForConditionalGeneration(config), processor, tokenizer, is_vlm=True)


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
