"""Models of the comparator's tests, written once a session, loaded anew by each test."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from small_models import write_llama, write_llava

from talo_export.models.loading import LoadedModel, load_model

# Threads that spin for work cost tiny models more than they give, tenfold on a busy machine.
torch.set_num_threads(1)

# An extra of the package: where it is not installed there is nothing to run these tests with.
collect_ignore = [] if importlib.util.find_spec("bitsandbytes") else ["test_four_bit.py"]


@pytest.fixture(scope="session")
def llama_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers."""
    return write_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def llava_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LLaVA of two decoder layers and two vision layers."""
    return write_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def llama(llama_directory: Path) -> LoadedModel:
    """The text model, fresh."""
    return load_model(str(llama_directory), device="cpu")


@pytest.fixture
def llava(llava_directory: Path) -> LoadedModel:
    """The vision-language model, fresh."""
    return load_model(str(llava_directory), device="cpu")
