"""A process killed while it exports leaves nothing that looks like a checkpoint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_after_a_kill_there_is_no_output_or_a_whole_one_and_a_second_run_succeeds() -> None:
    # A process of its own: the script forks, which a process with threads must not do.
    script = Path(__file__).with_name("kill_exports.py")
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "40", "--megabytes", "2"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(script.parents[2]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "40 kills" in done.stdout
    assert "'a partial'" in done.stdout, "no kill hit the middle of a write: it proves nothing"
