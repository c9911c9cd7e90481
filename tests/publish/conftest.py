"""Fixtures of the publishing tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from publish_models import save_tiny_language_model, save_tiny_vlm


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny language model with a chat template. Read only."""
    return save_tiny_language_model(tmp_path_factory.mktemp("language_model"))


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny vision-language model with a chat template. Read only."""
    return save_tiny_vlm(tmp_path_factory.mktemp("vlm"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small picture on disk."""
    path = tmp_path / "picture.png"
    Image.new("RGB", (20, 20), (200, 30, 30)).save(path)
    return path
