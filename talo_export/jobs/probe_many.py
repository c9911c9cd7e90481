"""Many tasks, one sweep each: the model is loaded once, every task has its own run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from talo_export.demo import demo_task_names
from talo_export.errors import TaloError, UsageError
from talo_export.jobs.asking import DEMO
from talo_export.jobs.evaluate import Note, Watch, silent, unwatched
from talo_export.jobs.probe import ProbeRequest, run_probe
from talo_export.jobs.run import default_directory, write_atomically
from talo_export.tasks.sources import task_references

COLUMNS = (
    "task", "items", "base_accuracy", "layer", "probe_gain", "confirm_n", "gain", "ci_low",
    "ci_high", "p_value", "verdict",
)  # fmt: skip


def means_many(task: str | None) -> bool:
    """Whether a task's name is a pattern: `all`, or with a wildcard."""
    return task is not None and (task == "all" or "*" in task)


def references(pattern: str, *, model_is_demo: bool) -> tuple[str, ...]:
    """The tasks that a pattern names, each as a reference of its own.

    `all` means the demo's tasks where the demo is the model, else the whole catalogue. Raises
    UsageError where nothing matches.
    """
    demo = tuple(f"{DEMO}/{name}" for name in demo_task_names())
    if model_is_demo and pattern in ("all", "*"):
        return demo
    if pattern.startswith(f"{DEMO}/"):
        found = tuple(name for name in demo if fnmatchcase(name, pattern))
        if not found:
            raise UsageError(f"no task matches {pattern!r}; `talo-export tasks` lists them all.")
        return found
    return task_references(pattern)


def run_probes(
    request: ProbeRequest, *, note: Note = silent, progress: Watch = unwatched
) -> dict[str, Any]:
    """Probe every task that `request.task` names; below `request.out` a run for each.

    A task that fails is reported in `failed` and does not lose the others. The table is also
    written as `table.csv` beside the runs.
    """
    assert request.task is not None
    wanted = references(request.task, model_is_demo=request.setup.is_demo)
    folder = request.out or default_directory(request.setup.name, "any").parent
    load = cache(request.setup.load)
    documents: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for number, reference in enumerate(wanted, start=1):
        place = f"task {number} of {len(wanted)}"
        one = replace(request, task=reference, out=folder / default_directory("", reference).name)
        note(f"{place}: {reference}")
        try:
            documents.append(
                run_probe(
                    one,
                    note=note,
                    progress=lambda phase, place=place: progress(f"{place}, {phase}"),  # type: ignore[misc]
                    load=load,
                )
            )
        except TaloError as error:
            note(f"{reference} failed: {error}")
            failed.append({"task": reference, "error": str(error)})
    rows = [_row(document) for document in documents]
    if documents:
        write_atomically(folder / "table.csv", _csv(rows))
    return {
        "model": request.setup.name,
        "tasks": rows,
        "failed": failed,
        "runs": [document["run"] for document in documents],
        "table": str(folder / "table.csv") if documents else None,
    }


def _row(document: dict[str, Any]) -> dict[str, Any]:
    probe, confirm, layer = document["probe"], document["confirm"], document["selected_layer"]
    judged = confirm or {}
    low, high = judged.get("ci95") or (None, None)
    return {
        "task": document["task"],
        "items": document["task_items"],
        "base_accuracy": (probe if layer is None else judged)["base_accuracy"],
        "layer": layer,
        "probe_gain": None if layer is None else probe["gains"][layer],
        "confirm_n": judged.get("n"),
        "gain": judged.get("gain"),
        "ci_low": low,
        "ci_high": high,
        "p_value": judged.get("p_value"),
        "verdict": judged.get("verdict"),
    }


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
