"""Fixtures of the publishing tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer
from huggingface_hub import constants
from PIL import Image
from publish_models import save_tiny_language_model, save_tiny_vlm

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
BROWSER_TESTS = "browser_test_report.py"


def pytest_report_header() -> str:
    """Say whether the tests that need a browser are among those collected."""
    return f"browser: {CHROMIUM or f'none found, {BROWSER_TESTS} is not collected'}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the browser tests only where there is a browser to run them."""
    named = parent.session.isinitpath(file_path)  # then pytest collects it by itself
    if file_path.name == BROWSER_TESTS and CHROMIUM and not named:
        return pytest.Module.from_parent(parent, path=file_path)
    return None


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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub on loopback that huggingface_hub talks to in this test, logged in, cache empty."""
    with HubServer().running() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
