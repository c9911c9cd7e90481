"""At home in the `hf` command: what its extensions need is there, and `hf talo-export` runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import pytest
from huggingface_hub.cli import extensions
from planted_case import LAYERS, Planted

REPOSITORY = "owner/hf-talo-export"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with the extension in it, as `hf extensions install` leaves it."""
    owner, repository, name = extensions._normalize_repo_id(REPOSITORY)
    executable = Path(sys.executable).with_name(extensions._get_executable_name(name))
    assert executable.is_file(), "the package is installed without its script for hf"
    root = extensions.EXTENSIONS_ROOT.relative_to("~")
    extensions.ExtensionManifest(
        owner=owner,
        repo=repository,
        repo_id=REPOSITORY,
        short_name=name,
        executable_path=str(executable),
        type="python",
        installed_at=datetime.now(timezone.utc),
    ).save(tmp_path / root / repository)
    return tmp_path


def hf(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    """The `hf` command of a user who lives in `home`."""
    return subprocess.run(
        [sys.executable, "-m", "huggingface_hub.cli.hf", *map(str, arguments)],
        cwd=home,
        env={**os.environ, "HOME": str(home), "HF_HUB_DISABLE_UPDATE_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_installs_the_script_that_hf_looks_for() -> None:
    _, _, name = extensions._normalize_repo_id(REPOSITORY)
    wanted = extensions._get_executable_name(name).removesuffix(".exe")
    ours = metadata.distribution("talo-export").entry_points
    (script,) = (entry for entry in ours if entry.name == wanted)
    assert (script.group, script.value) == ("console_scripts", "talo_export.cli:main")


def test_hf_runs_a_probe_and_hands_its_exit_status_on(home: Path, planted: Planted) -> None:
    done = hf(
        "talo-export", "probe", "--model", planted.model, "--task", planted.task, "--shots", 4,
        "--scoring", "likelihood", "--no-checkpoint", "--json", home=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"] == LAYERS
    assert hf("talo-export", "probe", "--no-such-option", home=home).returncode == 2


def test_its_help_says_what_is_typed(home: Path) -> None:
    done = hf("talo-export", "probe", "--help", home=home)
    assert "Usage: hf talo-export probe" in done.stdout
