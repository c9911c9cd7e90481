"""Many tasks, one sweep each: the model is loaded once, every task has its own run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from talo_export.jobs.evaluate import Note, Watch, silent, unwatched
from talo_export.jobs.evidence import discoveries
from talo_export.jobs.many import (
    Begin,
    SharedModel,
    each_task,
    references,
    unannounced,
    write_table,
)
from talo_export.jobs.probe import run_probe
from talo_export.jobs.run import default_directory
from talo_export.jobs.side_effects import note_side_effects
from talo_export.probing.team import ALONE, Team
from talo_export.requests.measurements import ProbeRequest

COLUMNS = (
    "task", "items", "base_accuracy", "best_layer", "best_probe_gain", "layer", "probe_gain",
    "confirm_n", "gain", "ci_low", "ci_high", "p_value", "verdict",
)  # fmt: skip


def run_probes(
    request: ProbeRequest,
    *,
    note: Note = silent,
    progress: Watch = unwatched,
    begin: Begin = unannounced,
    team: Team = ALONE,
) -> dict[str, Any]:
    """Probe every task that `request.task` names; below `request.out` a run for each.

    A task that fails is reported in `failed` and does not lose the others. The table is also
    written beside the runs, as `table.csv` and `table.json`.
    """
    wanted = references(request, model_is_demo=request.is_demo)
    folder = request.out or default_directory(request.model_name, "any").parent

    def probe(reference: str, model: SharedModel) -> dict[str, Any]:
        run = folder / default_directory("", reference).name
        one = replace(request, task=reference, out=run)
        return run_probe(one, note=note, progress=progress, load=model, team=team)

    outcomes = each_task(wanted, request, probe, note=note, begin=begin)
    rows = [_row(document) for document in outcomes.documents]
    found = discoveries({document["task"]: document for document in outcomes.documents})
    if team.leads:
        paths = [Path(document["run"]) for document in outcomes.documents]
        trusted = request.trust_remote_code
        note_side_effects(paths, data=request.data, trusted=trusted)
    return {
        "model": request.model_name,
        "tasks": rows,
        "failed": outcomes.failed,
        "discoveries": None if found is None else found.to_json(),
        "runs": [document["run"] for document in outcomes.documents],
        **(write_table(folder, COLUMNS, rows, outcomes) if team.leads else {}),
    }


def _row(document: dict[str, Any]) -> dict[str, Any]:
    """One line of the table. `best_layer` is the probe's highest gain, `layer` the one chosen."""
    probe, confirm, layer = document["probe"], document["confirm"], document["selected_layer"]
    judged = confirm or {}
    low, high = judged.get("ci95") or (None, None)
    gains = {index: gain for index, gain in enumerate(probe["gains"]) if gain is not None}
    best = max(gains, key=lambda index: gains[index], default=None)
    return {
        "task": document["task"],
        "items": document["task_items"],
        "base_accuracy": (probe if layer is None else judged)["base_accuracy"],
        "best_layer": best,
        "best_probe_gain": None if best is None else gains[best],
        "layer": layer,
        "probe_gain": None if layer is None else probe["gains"][layer],
        "confirm_n": judged.get("n"),
        "gain": judged.get("gain"),
        "ci_low": low,
        "ci_high": high,
        "p_value": judged.get("p_value"),
        "verdict": judged.get("verdict"),
    }
