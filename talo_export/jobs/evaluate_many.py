"""How well a checkpoint does on many tasks: one loaded model, one table, averages by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from talo_export.jobs.asking import Setup
from talo_export.jobs.evaluate import EvaluateRequest, Note, Watch, run_evaluate, silent, unwatched
from talo_export.jobs.many import Begin, SharedModel, each_task, references, unannounced

ROW = ("task", "n", "accuracy", "ci95", "chance", "unparsed", "averages")


def run_evaluations(
    setup: Setup,
    request: EvaluateRequest,
    *,
    note: Note = silent,
    progress: Watch = unwatched,
    begin: Begin = unannounced,
) -> dict[str, Any]:
    """Evaluate every task that `request.words` names.

    `micro` is the mean over all items, `macro` the mean over tasks of each one's accuracy; both
    None where no task could be done.
    """
    words = request.words
    wanted = references(words.asked, model_is_demo=setup.is_demo, columns=words.columns)

    def evaluate(reference: str, model: SharedModel) -> dict[str, Any]:
        one = replace(request, words=replace(words, name=reference))
        return run_evaluate(setup, one, note=note, progress=progress, load=model)

    outcomes = each_task(wanted, setup, evaluate, note=note, begin=begin)
    done = outcomes.documents
    items = sum(document["n"] for document in done)
    return {
        "model": setup.name,
        "scoring": request.scoring.kind,
        "tasks": [{name: document[name] for name in ROW} for document in done],
        "failed": outcomes.failed,
        "micro": sum(d["accuracy"] * d["n"] for d in done) / items if items else None,
        "macro": sum(d["accuracy"] for d in done) / len(done) if done else None,
    }
