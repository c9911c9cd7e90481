"""The same push through Xet storage, which is how the client sends large files by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import export
from hub_server import Fault, HubServer
from huggingface_hub import constants

from talo_export.errors import TaloError
from talo_export.publish.push import Terms, push

REPO = "owner/tiny-maps"


@pytest.fixture
def exported(language_model: Path, tmp_path: Path) -> Path:
    """A confirmed export of the tiny language model."""
    return export(language_model, tmp_path / "export")


@pytest.fixture(autouse=True)
def xet(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn Xet on again, which the fixture `hub` turned off."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)


def test_weights_go_through_xet_and_their_checksum_is_compared(
    hub: HubServer, exported: Path
) -> None:
    result = push(exported, REPO, progress=False)
    weights = hub.store.repositories[REPO].resolve("main").files["model.safetensors"]  # type: ignore[union-attr]
    assert sum(hub.xorbs.values()) > 0.5 * weights.size
    assert hub.received == {}
    assert result.verified == len(result.files)


def test_pushing_again_makes_no_commit(hub: HubServer, exported: Path) -> None:
    first = push(exported, REPO, progress=False)
    assert push(exported, REPO, progress=False).commit == first.commit


def test_storage_that_refuses_is_one_sentence(hub: HubServer, exported: Path) -> None:
    hub.faults.append(Fault("POST", "_xet/v1/xorbs", 403, times=99))
    with pytest.raises(TaloError, match="while uploading") as caught:
        push(exported, REPO, progress=False)
    assert "\n" not in str(caught.value)
    assert set(hub.files(REPO)) == {".gitattributes"}


def test_a_pull_request_through_xet_leaves_main_as_it_was(hub: HubServer, exported: Path) -> None:
    hub.store.create(REPO)
    result = push(exported, REPO, Terms(create_pr=True), progress=False)
    assert set(hub.store.repositories[REPO].resolve("main").files) == {".gitattributes"}  # type: ignore[union-attr]
    assert result.revision == "refs/pr/1"
    assert result.pull_request == f"{hub.url}/{REPO}/discussions/1"
