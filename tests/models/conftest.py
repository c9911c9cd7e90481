"""Tiny random models, in memory and as checkpoints on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import llava_config, llava_processor, word_tokenizer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def stir(model: PreTrainedModel) -> PreTrainedModel:
    """Make biases and norms as random as everything else."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model.eval()


@pytest.fixture
def llama() -> PreTrainedModel:
    """Three layers with biases on every projection."""
    torch.manual_seed(0)
    return stir(LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True)))


@pytest.fixture
def gpt2() -> PreTrainedModel:
    """Three layers whose matrices are stored transposed."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=40,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=32,
        bos_token_id=1,
        eos_token_id=2,
    )
    return stir(GPT2LMHeadModel(config))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Words a to f, no pad token, padding on the right."""
    return word_tokenizer(["<unk>", "<s>", "</s>", "<image>", *"abcdef"], eos_token="</s>")


@pytest.fixture
def text_checkpoint(tmp_path: Path) -> Path:
    """A saved language model with its tokenizer."""
    folder = tmp_path / "text"
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def vlm_checkpoint(tmp_path: Path) -> Path:
    """A saved vision-language model with its processor and a chat template."""
    folder = tmp_path / "vlm"
    torch.manual_seed(0)
    config = llava_config(LlamaConfig(**SIZES))
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    llava_processor(make_tokenizer(), template).save_pretrained(folder)
    return folder


Logits = Callable[[PreTrainedModel], torch.Tensor]


@pytest.fixture
def logits() -> Logits:
    """A function that gives a model's logits for two fixed rows of seven tokens."""
    ids = torch.arange(14).view(2, 7) + 5

    def run(model: PreTrainedModel) -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=ids).logits

    return run
