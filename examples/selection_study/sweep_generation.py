"""Ask the planned tasks by generation, with every layer's attention left out in turn.

    python examples/selection_study/sweep_generation.py MODEL TASKS_DIR --out asked --items 60
    python examples/selection_study/sweep_generation.py TASKS_DIR --out asked

The product's own sweep, by its defaults. Each task is asked in two ways: as BIG-bench's prompt, the
answer read out of the text behind it, and as a question with lettered choices. Each has a journal
in `asked/`: kill the script at any moment and run the same line again, it goes on. Without MODEL,
what was right and what could be read is written to `asked/generated.npz`, and nothing of any text.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sweep_tasks import PLAN, ordered

from talo_export.knockout import Knockout
from talo_export.probing.journal import Journal
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.files import load_task_file
from talo_export.tasks.item import Item, Task

WAYS = ("texts", "letters")
SCORING = Scoring()
FIELDS = ("right", "parsed", "gold", "margin")


@dataclass(frozen=True, eq=False)
class Generated:
    """What one model's answers to one task were worth, (1 + layers, items); the base is row 0."""

    right: NDArray[np.bool_]
    parsed: NDArray[np.bool_]
    """Whether an answer could be read out of the text."""
    gold: NDArray[np.int64]
    """(items,) number of the right choice."""
    margin: NDArray[np.float32]
    """Of the right letter where letters were answered, nats; empty where texts were."""


def asked(task: Task, way: str, count: int) -> list[Item]:
    """The first items in hash order, put in this way."""
    items = ordered(task)[:count]
    return [replace(i, prompt=None) for i in items] if way == "letters" else items


def run(model: Path, tasks: Sequence[Task], out: Path, count: int) -> None:
    """Task by task, both ways, so that stopping early leaves whole tasks."""
    from talo_export.models.loading import load_model
    from talo_export.probing.sweep import sweep

    loaded, started = load_model(str(model), dtype="float32"), time.monotonic()
    variants = (None, *map(Knockout, range(len(loaded.decoder))))
    for task in tasks:
        for way in WAYS:
            path = out / model.name / f"{task.name}.{way}.sqlite"
            path.parent.mkdir(parents=True, exist_ok=True)
            named = {"model": model.name, "task": task.name, "way": way, **SCORING.identity()}
            items = asked(task, way, count)
            with Journal.open(path, named) as journal:
                sweep(loaded, items, variants, SCORING, journal=journal, skip_too_long=True)
            minutes = (time.monotonic() - started) / 60
            print(f"{minutes:6.1f} min  {model.name} {task.name} by {way}", flush=True)


def collect(out: Path, tasks: Sequence[Task]) -> dict[tuple[str, str, str], Generated]:
    """All journals, by model, task and way: the items that every variant answered."""
    by_name = {task.name: task for task in tasks}
    tables = {}
    for path in sorted(out.glob("*/*.sqlite")):
        name, way = path.stem.split(".")
        with Journal.read(path) as journal:
            outcomes = journal.outcomes()
        if not outcomes:  # just begun
            continue
        items = [i for i in ordered(by_name[name]) if all(i.id in o for o in outcomes.values())]
        table = ScoreTable.build(items, outcomes)
        margin = np.zeros((0, 0)) if table.margin is None else table.margin
        tables[path.parent.name, name, way] = Generated(
            table.correct, table.parsed, table.gold.astype(np.int64), margin.astype(np.float32)
        )
    return tables


def save_generated(path: Path, tables: Mapping[tuple[str, str, str], Generated]) -> None:
    """Write them to a compressed .npz."""
    arrays = {
        f"{'/'.join(key)}/{field}": getattr(table, field)
        for key, table in tables.items()
        for field in FIELDS
    }
    np.savez_compressed(path, **arrays)


def load_generated(path: Path) -> dict[tuple[str, str, str], Generated]:
    """The answers of a file, by model, task and way."""
    with np.load(path) as arrays:
        names = sorted({key.rsplit("/", 1)[0] for key in arrays.files})
        return {
            (model, task, way): Generated(
                *(arrays[f"{model}/{task}/{way}/{field}"] for field in FIELDS)
            )
            for model, task, way in (name.split("/") for name in names)
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="none: write what the journals hold")
    parser.add_argument("directory", type=Path, help="of .jsonl task files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=60, help="a task, in hash order")
    parser.add_argument("--tasks", type=int, default=len(PLAN), help="how many of the plan's")
    arguments = parser.parse_args()
    tasks = [load_task_file(arguments.directory / f"{name}.jsonl") for name in PLAN]
    if arguments.model is None:
        tables = collect(arguments.out, tasks)
        save_generated(arguments.out / "generated.npz", tables)
        print(f"wrote {arguments.out / 'generated.npz'}: {len(tables)} sweeps")
    else:
        run(arguments.model, tasks[: arguments.tasks], arguments.out, arguments.items)


if __name__ == "__main__":
    main()
