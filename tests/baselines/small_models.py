"""Tiny real models on disk, and tasks of which it is known what training can do."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
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

from talo_export.tasks.item import Item, ItemImage, Task

SPECIAL = ["<pad>", "<s>", "</s>", "<image>"]
TEMPLATE = (
    "{% for turn in messages %}{{ turn['role'] }}: "
    "{% if turn['content'] is string %}{{ turn['content'] }}"
    "{% else %}{% for part in turn['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endif %}{{ '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and a chat template that takes pictures."""
    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=["<image>"],
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def text_config(layers: int = 2, positions: int = 1024) -> LlamaConfig:
    """A Llama of a few thousand weights a layer."""
    return LlamaConfig(
        vocab_size=256 + len(SPECIAL),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.2,
    )


def write_llama(directory: Path, layers: int = 2, positions: int = 1024, width: int = 64) -> Path:
    """A random text model with its tokenizer. `width` is that of its feed-forward blocks."""
    torch.manual_seed(0)
    config = text_config(layers, positions)
    config.intermediate_size = width
    LlamaForCausalLM(config).save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory


def write_llava(directory: Path) -> Path:
    """A random vision-language model whose vision tower shares leaf names with its decoder."""
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        image_size=16, patch_size=8, projection_dim=16, initializer_range=0.2,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text_config(), image_token_id=3, image_seq_length=4,
        initializer_range=0.2,
    )  # fmt: skip
    LlavaForConditionalGeneration(config).save_pretrained(directory)
    size = {"height": 16, "width": 16}
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size=size, crop_size=size),
        tokenizer=byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(directory)
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
