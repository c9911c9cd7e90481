"""What a command does not need it does not import, and starts no more processes than it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

MODELS = {"torch", "transformers"}
RARE = {"accelerate", "datasets", "matplotlib", "peft", "pyarrow", "scipy"}
"""Some of these transformers itself imports with a model's code."""


def run(*words: str, cache: Path) -> tuple[set[str], int]:
    """The libraries that a command imports, and how many processes it starts."""
    code = (
        "import json, sys\n"
        "started = []\n"
        "sys.addaudithook(lambda event, _: event == 'subprocess.Popen' and started.append(event))\n"
        f"sys.argv = ['talo-export', *{words!r}]\n"
        "from talo_export.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    print('\\n', json.dumps([sorted(loaded), len(started)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
        env={**os.environ, "TALO_EXPORT_CACHE": str(cache)},
    )  # fmt: skip
    loaded, started = json.loads(done.stdout.splitlines()[-1])
    return set(loaded), started


def test_a_checkpoint_is_verified_by_one_process_that_alone_imports_torch(tmp_path: Path) -> None:
    """And what the export read out of the model's code is read no second time."""
    export = ["export", "--model", "demo", "--layer", "2"]
    out = str(tmp_path / "out")
    loaded, _ = run(*export, "--dry-run", cache=tmp_path)
    assert loaded >= MODELS
    assert not loaded & {"datasets", "matplotlib", "pyarrow"}
    for words in ([*export, "--dry-run"], [*export, "--out", out], ["inspect", out]):
        loaded, started = run(*words, cache=tmp_path)
        unneeded = {*MODELS, *RARE, *({"huggingface_hub"} if "inspect" in words else ())}
        assert not loaded & unneeded, words
        assert not started
    loaded, started = run("verify", out, cache=tmp_path)
    assert not loaded & {*MODELS, *RARE}
    assert started == 1


def test_a_comparison_leaves_training_to_its_one_worker_and_finished_cells_start_none(
    tmp_path: Path,
) -> None:
    words = ["compare", "--methods", "base", "--shots", "8", "--seeds", "1", "--test-limit", "1"]
    for workers in (1, 0):
        loaded, started = run(*words, "--out", str(tmp_path / "out"), cache=tmp_path)
        assert started == workers
        assert "peft" not in loaded
