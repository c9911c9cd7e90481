"""Tiny real checkpoints, written by transformers itself, shared by this room's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tiny_bases import save, tiny_gpt2, tiny_llama

from talo_export.models.anatomy import Decoder
from talo_export.models.finding import find_decoder


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
