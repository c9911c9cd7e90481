"""Sweep every layer over many task files, once; the study resamples these scores for ever after.

    python examples/selection_study/sweep_tasks.py smollm2 TASKS_DIR --out scores --items 100

`smollm2` is a model directory (examples/smollm2/convert.py makes one), TASKS_DIR holds task files.
Each task gets a journal in `scores/`: kill the script at any moment and run the same line again,
it goes on. Tasks with short prompts come first, and all tasks advance together, twenty items at a
time, so that stopping early leaves a usable sample of each. At the end (and with --collect alone,
without a model) the numbers of all journals are written to `scores/scores.npz`: log-likelihoods
of the choices and which one is right, and nothing of the tasks' text.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tables import save_tables

from talo_export.knockout import Knockout
from talo_export.probing.journal import Journal
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.files import load_task_file
from talo_export.tasks.item import Item, Task

if TYPE_CHECKING:
    from talo_export.models.loading import LoadedModel

SCORING = Scoring(kind="likelihood", choice_text=True)
STEP = 20
LEAST = 40
"""A task with fewer items than this in its journal is left out of the collection."""


def sample(task: Task, most: int) -> list[Item]:
    """Up to `most` items in an order drawn by hash: the same on every machine and run."""
    drawn = sorted(task.items, key=lambda i: hashlib.sha256(f"study:{i.id}".encode()).hexdigest())
    return drawn[:most]


def text_length(task: Task) -> float:
    """Mean characters an item puts before the model."""
    return sum(
        len(i.prompt or i.question or "") + sum(map(len, i.choices)) for i in task.items
    ) / len(task)


def journal_of(task: Task, model: str, out: Path) -> Journal:
    """The journal of one task, made where there is none."""
    identity = {"model": model, "task": task.name, **SCORING.identity()}
    return Journal.open(out / f"{task.name}.sqlite", identity)


def sweep_all(loaded: LoadedModel, name: str, tasks: list[Task], out: Path, most: int) -> None:
    """Advance all tasks together until every sampled item is scored."""
    from talo_export.probing.sweep import all_knockouts, sweep

    variants: list[Knockout | None] = [None, *all_knockouts(loaded.decoder)]
    started = time.monotonic()
    for first in range(0, most, STEP):
        for task in tasks:
            items = sample(task, most)[first : first + STEP]
            if not items:
                continue
            with journal_of(task, name, out) as journal:
                sweep(loaded, items, variants, SCORING, journal=journal)
            minutes = (time.monotonic() - started) / 60
            print(f"{minutes:6.1f} min  {task.name}: {first + len(items)} items", flush=True)


def collect(tasks: list[Task], name: str, out: Path, most: int) -> dict[str, ScoreTable]:
    """The tables of all tasks with enough items that every variant has answered."""
    tables = {}
    for task in tasks:
        if not (out / f"{task.name}.sqlite").exists():
            continue
        with journal_of(task, name, out) as journal:
            outcomes = journal.outcomes()
        complete = [
            item
            for item in sample(task, most)
            if all(item.id in seen for seen in outcomes.values())
        ]
        if outcomes and len(complete) >= LEAST:
            tables[task.name] = ScoreTable.build(complete, outcomes)
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("tasks", type=Path, help="directory of .jsonl task files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100, help="at most, a task")
    parser.add_argument("--only", nargs="*", help="names of tasks; default all")
    parser.add_argument("--collect", action="store_true", help="only write scores.npz")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [load_task_file(path) for path in sorted(arguments.tasks.glob("*.jsonl"))]
    tasks = [task for task in tasks if not arguments.only or task.name in arguments.only]
    tasks.sort(key=text_length)
    name = arguments.model.resolve().name
    if not arguments.collect:
        from talo_export.models.loading import load_model

        loaded = load_model(str(arguments.model), dtype="float32")
        sweep_all(loaded, name, tasks, arguments.out, arguments.items)
    tables = collect(tasks, name, arguments.out, arguments.items)
    save_tables(arguments.out / "scores.npz", tables)
    print(f"wrote {arguments.out / 'scores.npz'}: {len(tables)} tasks")


if __name__ == "__main__":
    main()
