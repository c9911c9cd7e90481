"""Running the cells that are not in the journal yet.

The journal of a comparison is a directory with a request and a result for each cell, both JSON.
A finished cell is never run again; what is missing after a kill is what is run by the same line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from talo_export.baselines.request import CellRequest, CellResult, request_path, result_path
from talo_export.codec import from_json
from talo_export.errors import TaloError
from talo_export.reporting import SILENT, Reporter
from talo_export.wording import count


def run_cells(
    requests: Sequence[CellRequest], journal: Path, reporter: Reporter = SILENT
) -> dict[str, CellResult]:
    """Results by cell name; those in `journal` already are read, the others run and kept there.

    Raises TaloError where the worker process itself dies (what is finished stays finished).
    """
    journal.mkdir(parents=True, exist_ok=True)
    results: dict[str, CellResult] = {}
    waiting: dict[Path, CellRequest] = {}
    for request in requests:
        path = request_path(journal, request)
        found = read_result(result_path(path))
        if found is not None and found.final:
            results[request.name] = found
            continue
        result_path(path).unlink(missing_ok=True)
        path.write_text(json.dumps(request.to_json(), indent=1) + "\n", encoding="utf-8")
        waiting[path] = request
    advance = reporter.phase("comparing methods", len(requests), "cells")
    if results:
        reporter.note(f"{len(results)} of {len(requests)} cells are there already")
    if earlier := sum(map(done_in_an_earlier_version, waiting)):
        reporter.note(
            f"{count(earlier, 'cell')} in {journal} ran in a version that told a model by the "
            "times of its files, not by what is in them: whether it was this model cannot be told, "
            f"so {'it runs' if earlier == 1 else 'they run'} again"
        )
    advance(len(results))
    if waiting:
        for path in run_worker(list(waiting), journal / "worker.log"):
            result = read_result(result_path(path))
            if result is None:
                raise TaloError(f"{result_path(path)} cannot be read: run the same line again.")
            request = waiting.pop(path)
            results[request.name] = result
            advance(len(results), cell=request, result=result)
    if waiting:
        raise TaloError(
            f"the worker ended with {len(waiting)} cells to go, see {journal / 'worker.log'}; "
            "run the same line again to go on."
        )
    return results


def run_worker(paths: Sequence[Path], log: Path) -> Iterator[Path]:
    """Start `baselines.cell` on request files and yield each as its result appears.

    The worker and its cell end with this generator, and with this process: see there.
    """
    command = [sys.executable, "-m", "talo_export.baselines.cell", *map(str, paths)]
    by_result = {result_path(path).name: path for path in paths}
    with log.open("w", encoding="utf-8") as errors:
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            for line in worker.stdout:
                yield by_result[line.strip()]
        finally:
            worker.stdin.close()
            worker.wait()


def read_result(path: Path) -> CellResult | None:
    """A cell's result, None where there is none or it is of another format."""
    try:
        return from_json(CellResult, path.read_bytes(), str(path))
    except (OSError, TaloError):
        return None


def done_in_an_earlier_version(request_file: Path) -> bool:
    """Whether a version whose requests name the model's file times, not contents, did this cell."""
    method_shots_seed = request_file.name.rpartition("-")[0]
    return any(
        b'"model_stamp"' in path.read_bytes()
        for path in request_file.parent.glob(f"{method_shots_seed}-*.request.json")
    )
