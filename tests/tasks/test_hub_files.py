"""Benchmarks from the Hub: one split's files, at one commit, from whichever name has them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import benchmark_copies
import datasets
import pytest
from huggingface_hub import constants
from loopback_hub import COMMIT, serve

from talo_export.errors import TaloError
from talo_export.tasks import benchmark_tasks
from talo_export.tasks.benchmark import benchmarks
from talo_export.tasks.sources import load_task, task_references

Hub = tuple[Path, list[str]]
PINNED = benchmarks()["pope"].repositories["lmms-lab/POPE"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub on loopback, with empty caches: its directory, and what it was asked for."""
    root = tmp_path / "hub"
    root.mkdir()
    benchmark_tasks.forget_tables()
    with serve(root) as (address, asked):
        url = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "tables"))
        yield root, asked
    benchmark_tasks.forget_tables()


def test_only_the_wanted_splits_files_are_downloaded(hub: Hub) -> None:
    root, asked = hub
    benchmark_copies.pope(root)
    task = load_task("pope/popular")
    assert [item.answer for item in task.items] == [1]
    downloaded = {line.rpartition("/")[2] for line in asked if "resolve" in line}
    assert downloaded == {"test-00000-of-00001.parquet"}


def test_the_catalogues_commit_is_what_is_read_and_what_the_source_names(hub: Hub) -> None:
    root, asked = hub
    benchmark_copies.pope(root)
    assert load_task("pope/popular").source == f"hf://lmms-lab/POPE@{PINNED} pope/popular"
    assert all(PINNED in line for line in asked if "resolve" in line)


def test_a_name_that_lacks_the_pinned_commit_is_passed_over(hub: Hub) -> None:
    root, _ = hub
    benchmark_copies.pope(root)
    other = root / "lmms-lab-encoder" / "POPE"
    shutil.copytree(root / "lmms-lab" / "POPE", other)
    (other / ".commits").write_text(COMMIT)
    assert load_task("pope/popular").source.startswith(f"hf://lmms-lab/POPE@{PINNED}")
    benchmark_tasks.forget_tables()
    assert load_task("pope/popular@main").source.startswith(f"hf://lmms-lab-encoder/POPE@{COMMIT}")


def test_each_name_of_a_repository_is_tried_in_turn(hub: Hub) -> None:
    root, asked = hub
    benchmark_copies.pope(root)
    load_task("pope/popular")
    about = [line for line in asked if line.startswith("GET /api/datasets") and "tree" not in line]
    assert about[0].startswith("GET /api/datasets/lmms-lab-encoder/POPE")
    assert about[1].startswith("GET /api/datasets/lmms-lab/POPE")


def test_a_second_load_without_a_network_uses_the_first_ones_files(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = hub
    benchmark_copies.pope(root)
    first = load_task("pope/popular")
    benchmark_tasks.forget_tables()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert load_task("pope/popular").fingerprint == first.fingerprint


def test_a_hub_that_lacks_the_set_and_one_that_is_not_there_are_told_apart(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        TaloError, match=r"RepositoryNotFoundError.* for lmms-lab-encoder/POPE or lmms-lab/POPE"
    ) as missing:
        load_task("pope/popular")
    assert "hf download" in str(missing.value)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TaloError, match="the Hub cannot be reached"):
        load_task("pope/popular")


def test_a_repository_without_the_split_is_told(hub: Hub) -> None:
    root, _ = hub
    benchmark_copies.pope(root)
    (root / "lmms-lab" / "POPE" / "data" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(TaloError, match="no Parquet files of the split test"):
        load_task("pope/popular")


def test_a_revision_can_be_asked_for(hub: Hub) -> None:
    root, asked = hub
    benchmark_copies.pope(root)
    task = load_task("pope/popular@v2")
    assert any(line.endswith("/lmms-lab/POPE/revision/v2") for line in asked)
    assert f"@{COMMIT}" in task.source
    assert task_references("pope/*@v2")[0] == "pope/adversarial@v2"
