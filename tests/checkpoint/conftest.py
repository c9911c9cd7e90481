"""Tiny real checkpoints, written by transformers itself, shared by this room's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from talo_export.models.anatomy import Decoder, find_decoder

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


def save(model: PreTrainedModel, directory: Path, **options: object) -> Path:
    """A base as an uploader leaves it: weights and side files."""
    model.save_pretrained(directory, **options)
    (directory / "README.md").write_text("---\nlicense: mit\n---\n# The base\n")
    (directory / "tokenizer.json").write_text("{}")
    (directory / "extra").mkdir()
    (directory / "extra" / "notes.txt").write_text("kept")
    return directory


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Decoder]]:
    """Every tiny base once a session, with its decoder. Copy before changing anything."""
    root = tmp_path_factory.mktemp("bases")
    models = {
        "single": (tiny_llama(), {}),
        "sharded": (tiny_llama(), {"max_shard_size": "20KB"}),
        "bf16": (tiny_llama(torch.bfloat16), {}),
        "fp16": (tiny_llama(torch.float16), {}),
        "gpt2": (tiny_gpt2(), {}),
    }
    return {
        name: (save(model, root / name, **options), find_decoder(model))
        for name, (model, options) in models.items()
    }


@pytest.fixture
def single(built: dict[str, tuple[Path, Decoder]], tmp_path: Path) -> Path:
    """A private copy of the single-file base."""
    return Path(shutil.copytree(built["single"][0], tmp_path / "base"))


@pytest.fixture
def sharded(built: dict[str, tuple[Path, Decoder]], tmp_path: Path) -> Path:
    """A private copy of the sharded base."""
    return Path(shutil.copytree(built["sharded"][0], tmp_path / "base"))


@pytest.fixture
def llama(built: dict[str, tuple[Path, Decoder]]) -> Decoder:
    """The tiny Llama's decoder: its names are the same in memory and on disk."""
    return built["single"][1]
