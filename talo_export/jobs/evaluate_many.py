"""How well a checkpoint does on many tasks: one loaded model, one table, averages by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from talo_export.jobs.evaluate import Note, Watch, run_evaluate, silent, unwatched
from talo_export.jobs.many import Begin, SharedModel, each_task, references, unannounced
from talo_export.requests.measurements import EvaluateRequest

ROW = ("task", "n", "accuracy", "ci95", "chance", "unparsed", "averages")


def run_evaluations(
    request: EvaluateRequest,
    *,
    note: Note = silent,
    progress: Watch = unwatched,
    begin: Begin = unannounced,
) -> dict[str, Any]:
    """Evaluate every task that `request.task` names.

    `micro` is the mean over all items, `macro` the mean over tasks of each one's accuracy; both
    None where no task could be done.
    """
    wanted = references(request, model_is_demo=request.is_demo)

    def evaluate(reference: str, model: SharedModel) -> dict[str, Any]:
        one = replace(request, task=reference)
        return run_evaluate(one, note=note, progress=progress, load=model)

    outcomes = each_task(wanted, request, evaluate, note=note, begin=begin)
    done = outcomes.documents
    items = sum(document["n"] for document in done)
    return {
        "model": request.model_name,
        "scoring": request.scoring,
        "tasks": [{name: document[name] for name in ROW} for document in done],
        "failed": outcomes.failed,
        "micro": sum(d["accuracy"] * d["n"] for d in done) / items if items else None,
        "macro": sum(d["accuracy"] for d in done) / len(done) if done else None,
    }
