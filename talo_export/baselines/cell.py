"""A process of its own for every cell, so that no peak of memory leaks into the next one.

    python -m talo_export.baselines.cell REQUEST.request.json [...]

The interpreter and its libraries are loaded once; then each request is a fork of this clean
process, in which no tensor has lived yet. Where a device's driver may be awake already, which
does not survive a fork, each request gets an interpreter of its own instead.

Whoever started it holds the other end of its standard input: when that end is closed, or dies
with its holder by whatever signal, the cell that runs is ended and nothing more is begun.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch

from talo_export.baselines.calibration import NotApplicableError
from talo_export.baselines.request import CellRequest, CellResult, Phase, read_items, result_path
from talo_export.baselines.work import do_cell, out_of_memory
from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import from_json
from talo_export.errors import TaloError
from talo_export.models.devices import pick_device
from talo_export.models.loading import load_model
from talo_export.models.memory import (
    PeakMemory,
    is_out_of_memory,
    peak_resident_bytes,
    return_what_is_freed,
)

WATCH_SECONDS = 0.05


class AbandonedError(Exception):
    """Nobody waits for this process's results any more."""


def main(arguments: list[str]) -> int:
    """Run every request, one after the other; print the path of each result when it is there."""
    for argument in arguments:
        path = Path(argument)
        try:
            in_a_process_of_its_own(path, abandoned=nobody_waits)
        except AbandonedError:
            return 1
        print(result_path(path).name, flush=True)
    return 0


def nobody_waits() -> bool:
    """Whether the other end of standard input is gone. Nothing is ever sent over it."""
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable)


def in_a_process_of_its_own(path: Path, *, abandoned: Callable[[], bool] = lambda: False) -> None:
    """Run a request apart; a process that dies without a result gets one that says how.

    Once `abandoned` says so the process is killed and AbandonedError raised, with no result.
    """
    log = path.with_name(path.name.replace(".request.json", ".log"))
    status, reached = _apart(path, log, abandoned)
    if result_path(path).exists():
        return
    if status == -signal.SIGKILL:
        reason = "the process was killed, as the system does where memory ends."
        result = CellResult("out of memory", reason, adapt=Phase(0.0, reached))
    else:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        result = CellResult("failed", f"{lines[-1] if lines else f'exit status {status}'} ({log})")
    write_result(path, result)


def run_request(path: Path) -> None:
    """Load the model, run the cell, write its result. A foreseen failure is a result as well."""
    request = from_json(CellRequest, path.read_bytes(), str(path))
    source = asdict(request.model)
    return_what_is_freed()
    memory = PeakMemory(pick_device(request.model.device))
    memory.begin()
    try:
        task = read_items(Path(request.items_file), request.task_fingerprint)
        loaded = load_model(source.pop("reference"), **source)
        artifact = path.with_name(path.name.replace(".request.json", ".artifact"))
        result = do_cell(request, loaded, task, memory, artifact)
    except NotApplicableError as error:
        result = CellResult("not applicable", str(error))
    except (TaloError, MemoryError, RuntimeError, OSError) as error:
        if is_out_of_memory(error):
            peak = memory.read()
            adapt = Phase(0.0, peak.used, peak.held)
            result = CellResult("out of memory", out_of_memory(error), adapt=adapt)
        elif isinstance(error, TaloError):
            result = CellResult("failed", str(error))
        else:
            raise
    write_result(path, result)


def write_result(path: Path, result: CellResult) -> None:
    """Write a result whole or not at all."""
    write_atomically(result_path(path), json.dumps(result.to_json(), indent=1) + "\n")


def _apart(path: Path, log: Path, abandoned: Callable[[], bool]) -> tuple[int, int]:
    """(exit status, negative for a signal; peak memory in bytes that was seen)."""
    may_fork = sys.platform == "linux" and not torch.cuda.is_available()
    processes = get_context("fork" if may_fork else "spawn")
    child = processes.Process(target=_logged, args=(path, log))  # type: ignore[attr-defined]
    child.start()
    reached = 0
    try:
        while child.is_alive():
            reached = max(reached, peak_resident_bytes(child.pid))
            if abandoned():
                raise AbandonedError
            child.join(WATCH_SECONDS)
    except BaseException:
        # Also on Ctrl-C: no cell outlives the process that watches it.
        child.kill()
        child.join()
        raise
    return child.exitcode, reached


def _logged(path: Path, log: Path) -> None:
    """The process's whole life: run the request, what it prints goes to the log."""
    with log.open("w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    run_request(path)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
