"""Ending a comparison from outside, with real processes: nothing runs on, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_models import learnable_task
from typer.testing import CliRunner

from talo_export.cli.app import app

PATIENCE = 300.0
"""Seconds for two interpreters to start on a busy machine."""


def line_of(model: Path, folder: Path, methods: str) -> list[str]:
    """A comparison whose LoRA cell trains for minutes unless it is ended."""
    task = folder / "colours.jsonl"
    rows = [
        {"id": i.id, "prompt": i.prompt, "choices": i.choices, "answer": i.answer}
        for i in learnable_task(24).items
    ]
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        "compare", "--model", str(model), "--task", str(task), "--out", str(folder / "out"),
        "--methods", methods, "--shots", "8", "--seeds", "1", "--epochs", "20000", "--lr", "1e-5",
        "--scoring", "likelihood", "--device", "cpu",
    ]  # fmt: skip


def wait_for(folder: Path, pattern: str) -> Path:
    """The first file of this kind, as soon as it is there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = list(folder.glob(pattern))
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no {pattern} in {folder}")


def as_a_shell_would() -> None:
    """A process group of its own, all of which hears of Ctrl-C; and nothing ignored, as it would
    be where these tests run in the background."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_an_ended_comparison_ends_its_worker_at_once_and_can_go_on(
    how: signal.Signals, llama_directory: Path, tmp_path: Path
) -> None:
    line = line_of(llama_directory, tmp_path, "base,lora")
    command = subprocess.Popen(
        [sys.executable, "-m", "talo_export", *line],
        stderr=subprocess.PIPE,
        preexec_fn=as_a_shell_would,
    )
    cells = tmp_path / "out" / "cells"
    try:
        wait_for(cells, "lora-*.log")
        base = wait_for(cells, "base-*.result.json")
        below = psutil.Process(command.pid).children(recursive=True)
        assert len(below) >= 2, "a worker and the cell it runs"

        if how == signal.SIGINT:
            os.killpg(command.pid, how)
        else:
            command.send_signal(how)
        _, said = command.communicate(timeout=20)
        assert command.returncode == (130 if how == signal.SIGINT else -how)
        assert how != signal.SIGINT or b"run the same line again" in said
        _, alive = psutil.wait_procs(below, timeout=20)
        assert not alive
        assert not list(cells.glob("lora-*.result.json"))
    finally:
        command.kill()

    when = base.stat().st_mtime_ns
    done = CliRunner().invoke(app, line_of(llama_directory, tmp_path, "base"))
    assert done.exit_code == 0, done.output
    assert base.stat().st_mtime_ns == when
