"""How well any checkpoint does on a task, item for item."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from talo_export.jobs.asking import Setup, find_task
from talo_export.models.reference import parse_reference
from talo_export.probing.progress import Watcher
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.tasks.splits import split_task

Note = Callable[[str], None]
Watch = Callable[[str], "Watcher | None"]
"""Called with a phase's name; returns who watches that phase."""


def silent(text: str) -> None:
    """A `Note` that says nothing."""


def unwatched(phase: str) -> Watcher | None:
    """A `Watch` that watches nothing."""
    return None


def run_evaluate(
    setup: Setup,
    *,
    task: str | None = None,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    scoring: Scoring | None = None,
    note: Note = silent,
    progress: Watch = unwatched,
) -> dict[str, Any]:
    """Accuracy on the task's items, or on `limit` of them drawn by `seed`.

    The interval is Clopper and Pearson's exact one at 95 % (Biometrika 26, 1934): it treats items
    as independent, so items that share an image make it too narrow.
    """
    scoring = scoring or Scoring()
    parse_reference(setup.reference)  # A mistyped model is told before a task is fetched.
    found = find_task(task, model_is_demo=setup.is_demo, data=data)
    items = found.items
    if limit is not None and limit < len(items):
        items = split_task(found, limit, seed).probe
    note(f"task {found.name}: {len(items)} of {len(found)} items from {found.source}")
    loaded = setup.load()
    result = sweep(
        loaded,
        items,
        (None,),
        scoring,
        batch_size=setup.batch_size,
        progress=progress(f"answering {len(items)} items"),
    )
    table = result.table
    right = int(table.correct[0].sum())
    interval = binomtest(right, len(items)).proportion_ci(0.95, method="exact")
    return {
        "model": setup.name,
        "revision": loaded.revision,
        "task": found.name,
        "task_source": found.source,
        "scoring": scoring.kind,
        "chance": found.chance,
        "n": len(items),
        "accuracy": right / len(items),
        "ci95": [float(interval.low), float(interval.high)],
        "unparsed": int((~table.parsed[0]).sum()),
        "items": [
            {
                "id": item.id,
                "answer": table.answers[0][column],
                "choice": None if table.choice[0, column] < 0 else int(table.choice[0, column]),
                "correct": bool(table.correct[0, column]),
            }
            for column, item in enumerate(items)
        ],
        "seconds": result.cost.seconds,
    }
