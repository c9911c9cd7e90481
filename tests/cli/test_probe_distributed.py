"""The main job shared by two processes, as a launcher starts them: one result, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from planted_case import Planted, talo_export

OPTIONS = ("--scoring", "likelihood", "--criterion", "accuracy", "--shots", "20",
           "--no-checkpoint", "--out", "run", "--json")  # fmt: skip


def line(planted: Planted) -> list[str]:
    return ["probe", "--model", str(planted.model), "--task", str(planted.task), *OPTIONS]


def launched(planted: Planted) -> list[str]:
    """The line of a launcher that starts two processes on this machine."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--master-addr", "localhost", "--master-port", str(port)]  # fmt: skip
    return [sys.executable, *launcher, "-m", "talo_export", *line(planted)]


def without_cost(text: str) -> str:
    document = json.loads(text)
    del document["cost"]
    return json.dumps(document)


def answers_in(journal: Path) -> int:
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM outcome").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def test_two_processes_one_killed_and_run_again_print_what_one_prints(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The launcher gives each process one thread, and the last bits depend on how many share a sum.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    alone = talo_export(*line(planted), cwd=one)
    assert alone.returncode == 0, alone.stderr

    crew = subprocess.Popen(launched(planted), cwd=two, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    second = two / "run" / "scores.sqlite.rank-1"
    while crew.poll() is None and answers_in(second) < 6:
        time.sleep(0.005)
    for process in psutil.Process(crew.pid).children():
        if process.environ().get("RANK") == "1":
            os.kill(process.pid, signal.SIGKILL)
    assert crew.wait(timeout=120) != 0
    kept = answers_in(second)
    assert kept >= 6
    assert json.loads((two / "run" / "manifest.json").read_text())["result"] is None

    done = subprocess.run(launched(planted), cwd=two, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert without_cost(done.stdout) == without_cost(alone.stdout)
    cost = json.loads(done.stdout)["cost"]
    assert cost["layer_evaluations"] < json.loads(alone.stdout)["cost"]["layer_evaluations"]
    assert (two / "run" / "layers.png").is_file()
