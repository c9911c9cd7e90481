"""Builders of tiny real checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    CLIPVisionConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

LAYERS = 3


def tiny_llama(dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        dtype=dtype,
    )
    return LlamaForCausalLM(config).to(dtype)


def tiny_gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    )


SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
}


def tiny_phi3() -> Phi3ForCausalLM:
    """Fused q, k and v; fused gate and up; grouped keys and values."""
    torch.manual_seed(0)
    return Phi3ForCausalLM(Phi3Config(**SIZES, num_key_value_heads=2, pad_token_id=0))


def tiny_neox() -> GPTNeoXForCausalLM:
    """Fused q, k and v, head by head; attention and feed-forward side by side; biases."""
    torch.manual_seed(0)
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES))


def tiny_llava() -> LlavaForConditionalGeneration:
    """A vision tower whose layers have names like the decoder's."""
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        image_size=8, patch_size=4,
    )  # fmt: skip
    text = LlamaConfig(**SIZES, num_key_value_heads=2)
    return LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=63)
    )


def save(model: PreTrainedModel, directory: Path, **options: object) -> Path:
    """A base as an uploader leaves it: weights and side files."""
    model.save_pretrained(directory, **options)
    (directory / "README.md").write_text("---\nlicense: mit\n---\n# The base\n")
    (directory / "tokenizer.json").write_text("{}")
    (directory / "extra").mkdir()
    (directory / "extra" / "notes.txt").write_text("kept")
    return directory
