"""Threads follow the processors that the process may use: a container's quota, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from talo_export.models import threads
from talo_export.models.threads import on_threads, quota, share_processors, threads_for


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")


@pytest.mark.parametrize(
    ("limit", "processors"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", None)],
)
def test_version_2_states_a_share_of_a_period(
    limit: str, processors: int | None, tmp_path: Path
) -> None:
    group(tmp_path / "job", cpu_max=limit)
    assert quota("0::/job\n", tmp_path) == processors


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_version_1_states_it_in_two_files(mount: str, tmp_path: Path) -> None:
    membership = "5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n"
    group(tmp_path / mount / "job", cpu_cfs_quota_us="300000", cpu_cfs_period_us="100000")
    assert quota(membership, tmp_path) == 3
    group(tmp_path / mount / "job", cpu_cfs_quota_us="-1")
    assert quota(membership, tmp_path) is None


def test_the_tightest_of_the_groups_around_a_process_counts(tmp_path: Path) -> None:
    group(tmp_path / "pod", cpu_max="200000 100000")
    group(tmp_path / "pod" / "job", cpu_max="800000 100000")
    assert quota("0::/pod/job\n", tmp_path) == 2


def test_a_container_that_sees_its_own_group_as_the_root_is_held_to_it(tmp_path: Path) -> None:
    group(tmp_path, cpu_max="100000 100000")
    assert quota("0::/docker/5f0c\n", tmp_path) == 1


@pytest.mark.parametrize("text", ["", "max", "nonsense 100000", "100000 0x"])
def test_what_cannot_be_read_is_no_quota(text: str, tmp_path: Path) -> None:
    group(tmp_path, cpu_max=text)
    assert quota("0::/\n", tmp_path) is None


@pytest.fixture
def half_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group(tmp_path, cpu_max="50000 100000")
    (tmp_path / "membership").write_text("0::/\n")
    monkeypatch.setattr(threads, "CGROUPS", tmp_path)
    monkeypatch.setattr(threads, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")


@pytest.mark.usefixtures("half_a_processor")
def test_a_process_started_from_here_uses_no_more_threads_than_the_quota() -> None:
    share_processors()
    code = "import torch; print(torch.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(("users", "policy"), [(None, "passive"), ("active", "active")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(
    users: str | None, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", users or "")
    if users is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    share_processors()
    assert os.environ["OMP_WAIT_POLICY"] == policy


@pytest.mark.usefixtures("half_a_processor")
def test_the_users_own_number_of_threads_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    share_processors()
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.usefixtures("half_a_processor")
def test_a_torch_that_was_imported_before_is_held_to_it_as_well() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        share_processors()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_small_model_runs_on_one_thread_and_a_large_one_on_all() -> None:
    import torch

    with on_threads(2), torch.device("meta"):
        assert threads_for(torch.nn.Linear(999, 9_999)) == 1
        assert threads_for(torch.nn.Linear(1_000, 10_000)) == 2


def test_torchs_own_number_is_back_afterwards_even_from_an_error() -> None:
    import torch

    before = torch.get_num_threads()

    def fail() -> None:
        with on_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == before
