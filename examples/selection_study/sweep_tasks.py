"""Sweep every layer over many task files, once; the study resamples these scores for ever after.

    python examples/selection_study/sweep_tasks.py smollm2 TASKS_DIR --out scores

`smollm2` is a model directory (examples/convert.py makes one), TASKS_DIR holds task files.
Each task gets a journal in `scores/`: kill the script at any moment and run the same line again,
it goes on. Tasks with short prompts come first, and all tasks advance together, twenty items at a
time, to --items; then each by itself, the cheapest first, to --more. So stopping early leaves a
usable sample of each. At the end (and with --collect alone, without a model) the numbers of all
journals are written to `scores/scores.npz`: log-likelihoods of the choices and which one is right,
and nothing of the tasks' text.

--one-pass sweeps with `one_pass.py` in place of the product's engine: Llama only, two to three
times faster here; it is first checked against the product's plain engine on four items.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tables import save_tables

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
"""A task with fewer items than this in its journal, and more in its file, is not collected."""
APART = {torch.float32: 1e-3, torch.bfloat16: 5.0}
"""Most that a choice's score may differ between the two engines, nats. In bfloat16 the plain
engine itself is up to 4.1 nats from its float32 self on choices of many tokens."""

Answer = Callable[[Journal, Task, Sequence[Item]], None]


def sample(task: Task, most: int) -> list[Item]:
    """Up to `most` items in an order drawn by hash: the same on every machine and run."""
    drawn = sorted(task.items, key=lambda i: hashlib.sha256(f"study:{i.id}".encode()).hexdigest())
    return drawn[:most]


def text_length(task: Task) -> float:
    """Mean characters an item puts before the model."""
    return sum(
        len(i.prompt or i.question or "") + sum(map(len, i.choices)) for i in task.items
    ) / len(task)


def identity(model: str, task: Task, dtype: str, one_pass: bool) -> dict[str, str]:
    """Everything the scores of a task depend on."""
    engine = "one-pass" if one_pass else "product"
    return {"model": model, "task": task.name, "dtype": dtype, "engine": engine,
            **SCORING.identity()}  # fmt: skip


def rounds(tasks: Sequence[Task], items: int, more: int) -> Iterator[tuple[Task, list[Item]]]:
    """What to sweep in which order: all tasks a step at a time, then each for itself."""
    for first in range(0, items, STEP):
        for task in tasks:
            yield task, sample(task, items)[first : first + STEP]
    for task in tasks:
        for first in range(items, more, STEP):
            yield task, sample(task, more)[first : first + STEP]


def by_product(loaded: LoadedModel) -> Answer:
    """Sweep with the product's engine."""
    from talo_export.probing.sweep import all_knockouts, sweep

    variants = (None, *all_knockouts(loaded.decoder))

    def answer(journal: Journal, task: Task, items: Sequence[Item]) -> None:
        sweep(loaded, items, variants, SCORING, journal=journal)

    return answer


def by_one_pass(loaded: LoadedModel, tasks: Sequence[Task]) -> Answer:
    """Sweep with `one_pass.py`, checked first."""
    from one_pass import OnePass, check

    apart = max(check(loaded, sample(task, 2), SCORING) for task in (tasks[0], tasks[-1]))
    print(f"largest difference to the plain engine: {apart:.2g} nats", flush=True)
    if not apart <= APART[loaded.model.dtype]:
        raise SystemExit("one_pass.py does not give what the product's engine gives")
    fast = OnePass(loaded)

    def answer(journal: Journal, task: Task, items: Sequence[Item]) -> None:
        known = journal.outcomes().get(None, {})
        left = [item for item in items if item.id not in known]
        if left:
            fast.share(task.items, SCORING)
        for item in left:
            journal.append(fast.cells(item, SCORING))

    return answer


def collect(
    tasks: Sequence[Task], out: Path, most: int, identities: dict[str, dict[str, str]]
) -> dict[str, ScoreTable]:
    """The tables of all tasks with enough items that every variant has answered."""
    tables = {}
    for task in tasks:
        path = out / f"{task.name}.sqlite"
        if not path.exists():
            continue
        with Journal.open(path, identities[task.name]) as journal:
            outcomes = journal.outcomes()
        complete = [
            item
            for item in sample(task, most)
            if all(item.id in seen for seen in outcomes.values())
        ]
        if outcomes and len(complete) >= min(LEAST, len(task)):
            tables[task.name] = ScoreTable.build(complete, outcomes)
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("tasks", type=Path, help="directory of .jsonl task files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100, help="a task, all tasks together")
    parser.add_argument("--more", type=int, default=160, help="a task, after that")
    parser.add_argument("--only", nargs="*", help="names of tasks; default all")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--one-pass", action="store_true", help="the fast way, Llama only")
    parser.add_argument("--collect", action="store_true", help="only write scores.npz")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [load_task_file(path) for path in sorted(arguments.tasks.glob("*.jsonl"))]
    tasks = [task for task in tasks if not arguments.only or task.name in arguments.only]
    tasks.sort(key=text_length)
    name = arguments.model.resolve().name
    identities = {
        task.name: identity(name, task, arguments.dtype, arguments.one_pass) for task in tasks
    }
    if not arguments.collect:
        from talo_export.models.loading import load_model

        loaded = load_model(str(arguments.model), dtype=arguments.dtype)
        answer = by_one_pass(loaded, tasks) if arguments.one_pass else by_product(loaded)
        started = time.monotonic()
        for task, items in rounds(tasks, arguments.items, arguments.more):
            if items:
                with Journal.open(arguments.out / f"{task.name}.sqlite",
                                  identities[task.name]) as journal:  # fmt: skip
                    answer(journal, task, items)
                minutes = (time.monotonic() - started) / 60
                print(f"{minutes:6.1f} min  {task.name}: {len(items)} items more", flush=True)
    tables = collect(tasks, arguments.out, max(arguments.items, arguments.more), identities)
    save_tables(arguments.out / "scores.npz", tables)
    print(f"wrote {arguments.out / 'scores.npz'}: {len(tables)} tasks")


if __name__ == "__main__":
    main()
