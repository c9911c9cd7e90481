"""Tiny real models and tasks for the sweep's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from probe_models import byte_tokenizer, loaded_llama, loaded_llava, picture

from talo_export.models.loading import LoadedModel
from talo_export.tasks.item import Item

# Threads that spin for work cost tiny models more than they give, tenfold on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def text_model() -> LoadedModel:
    """A random Llama of four layers with a byte tokenizer and a chat template."""
    return loaded_llama()


@pytest.fixture(scope="session")
def base_model() -> LoadedModel:
    """The same kind without a chat template."""
    return loaded_llama(tokenizer=byte_tokenizer(template=None))


@pytest.fixture(scope="session")
def vision_model() -> LoadedModel:
    """A random LLaVA of three layers."""
    return loaded_llava()


@pytest.fixture
def make_items() -> Callable[..., list[Item]]:
    """Lettered questions of different lengths, with or without a picture."""

    def make(count: int, *, pictures: bool = False, verbatim: bool = False) -> list[Item]:
        items = []
        for i in range(count):
            text = "Which one is it? " * (1 + i % 3) + f"Number {i}."
            items.append(
                Item(
                    id=f"item-{i}",
                    group=f"group-{i}",
                    question=None if verbatim else text,
                    prompt=text if verbatim else None,
                    choices=("red", "dark green", "blue"),
                    answer=i % 3,
                    images=(picture(i),) if pictures else (),
                )
            )
        return items

    return make
