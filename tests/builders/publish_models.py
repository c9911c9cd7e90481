"""Tiny real models with their tokenizers, saved as a Hub repository would hold them."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_models import llava_config, llava_processor, text_config, word_tokenizer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

WORDS = [*"abcd?.:", "user", "assistant", "which", "way", "north", "south", "east", "west"]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
CHAT = (
    "{% for message in messages %}user : "
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %} {{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %} assistant :"
)


def tiny_tokenizer(*, chat: bool = True) -> PreTrainedTokenizerFast:
    """Words in, words out: every word of a question is one token or `<unk>`."""
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return word_tokenizer([*SPECIAL, *WORDS], CHAT if chat else None, **special)


def three_layers() -> LlamaConfig:
    """A Llama's config, grouped key/value heads."""
    return text_config(3, vocab_size=len(SPECIAL) + len(WORDS), max_position_embeddings=256)


def save_tiny_language_model(directory: Path, *, chat: bool = True) -> Path:
    """A random Llama, float32."""
    torch.manual_seed(0)
    LlamaForCausalLM(three_layers()).save_pretrained(directory)
    tiny_tokenizer(chat=chat).save_pretrained(directory)
    return directory


def save_tiny_vlm(directory: Path, *, chat: bool = True) -> Path:
    """A random LLaVA in bfloat16, 2 x 2 image tokens, with its processor."""
    torch.manual_seed(0)
    config = llava_config(three_layers(), image_token=SPECIAL.index("<image>"))
    LlavaForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(directory)
    template = CHAT if chat else None
    llava_processor(tiny_tokenizer(chat=chat), template).save_pretrained(directory)
    return directory
