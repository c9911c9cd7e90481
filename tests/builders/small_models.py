"""Tiny real models on disk, and tasks of which it is known what training can do."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from PIL import Image
from tiny_models import TEMPLATE, byte_tokenizer, llava_config, llava_processor, text_config
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from talo_export.tasks.item import Item, ItemImage, Task

TEMPLATE_WITHOUT_START = TEMPLATE.removeprefix("{{ bos_token }}")


def plain_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte and nothing before them."""
    return byte_tokenizer(TEMPLATE_WITHOUT_START, adds_start=False)


def small_config(layers: int = 2, positions: int = 1024, width: int = 64) -> LlamaConfig:
    """A Llama of a few thousand weights a layer. `width` is that of its feed-forward blocks."""
    return text_config(layers, intermediate_size=width, max_position_embeddings=positions)


def write_llama(directory: Path, layers: int = 2, positions: int = 1024, width: int = 64) -> Path:
    """A random text model with its tokenizer."""
    torch.manual_seed(0)
    LlamaForCausalLM(small_config(layers, positions, width)).save_pretrained(directory)
    plain_tokenizer().save_pretrained(directory)
    return directory


def write_llava(directory: Path) -> Path:
    """A random vision-language model whose vision tower shares leaf names with its decoder."""
    torch.manual_seed(0)
    LlavaForConditionalGeneration(llava_config(small_config())).save_pretrained(directory)
    llava_processor(plain_tokenizer(), TEMPLATE_WITHOUT_START).save_pretrained(directory)
    return directory


def learnable_task(count: int = 60) -> Task:
    """The answer is the colour of the prompt's letter: a rule that a few items teach."""
    colours = ("red", "green", "blue")
    items = []
    for i in range(count):
        letter = "xyz"[i % 3] * (3 + i // 3 % 4)
        items.append(
            Item(id=f"item-{i:03}", group=f"group-{i:03}", prompt=f"{i // 3:02} {letter}:",
                 choices=colours, answer=i % 3)
        )  # fmt: skip
    return Task("learnable", tuple(items), "planted")


def unlearnable_task(count: int = 60) -> Task:
    """The answer is drawn by a hash of the item: nothing in one item tells about another."""
    items = []
    for i in range(count):
        draw = hashlib.sha256(str(i).encode()).digest()
        items.append(
            Item(id=f"item-{i:03}", group=f"group-{i:03}", prompt=f"{draw.hex()[:6]}:",
                 choices=("red", "green", "blue"), answer=draw[-1] % 3)
        )  # fmt: skip
    return Task("unlearnable", tuple(items), "planted")


def picture_task(count: int = 12) -> Task:
    """Lettered questions about plain pictures."""
    items = []
    for i in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 14), (40 * i % 256, 90 * i % 256, 160)).save(buffer, "PNG")
        image = ItemImage(name=f"picture-{i}.png", data=buffer.getvalue())
        items.append(
            Item(id=f"item-{i:03}", group=image.sha256, question=f"Which one is number {i}?",
                 choices=("red", "green", "blue"), answer=i % 3, images=(image,))
        )  # fmt: skip
    return Task("pictures", tuple(items), "planted")
