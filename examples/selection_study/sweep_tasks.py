"""Score every cut of `cuts.py` on the planned tasks, once; the analyses resample it for ever after.

    python examples/selection_study/sweep_tasks.py MODEL TASKS_DIR --out sweeps --items 100
    python examples/selection_study/sweep_tasks.py TASKS_DIR --out sweeps

MODEL is the directory of a Llama or a Gemma 3, TASKS_DIR holds the task files of PLAN. Each model
and task has a journal in `sweeps/`: kill the script at any moment and run the same line again, it
goes on, and with a greater --items or --tasks it adds to what is there. All tasks advance together,
twenty items at a time. Without MODEL the numbers of all journals are written to
`sweeps/families.npz`: the choices' log-shares, which one is right and which are the same, and
nothing of the tasks' text.

--known begins the journals with the scores of such a file, to go on from them. --check first holds
the scores against the product's plain engine, on two items of two tasks.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cuts import BASE, Cut, of_heads, of_layers, of_pairs
from journal import Line, append, read
from numpy.typing import NDArray
from tables import Scores, labelled, load_scores, save_scores

from talo_export.probing.settings import Scoring
from talo_export.tasks.files import load_task_file
from talo_export.tasks.item import Item, Task

PLAN = (
    "odd_one_out", "color-rgb", "entailed_polarity", "empirical_judgments", "fact_checker-fever",
    "irony_identification", "hindu_knowledge", "disambiguation_qa", "ruin_names",
)  # fmt: skip
"""In the order they are added; plan.md says by which rule."""
SCORING = Scoring(kind="likelihood", choice_text=True)
STEP = 20
FIRST = 40
"""Items that choose whose heads and which pairs are scored on all further items."""
HEADS_OF, PAIRS_OF = 3, 4
ALL_HEADS = 100
"""A model with no more heads than this has all of them scored, on all items."""
CLOSE = 1e-3
"""Most that a log-share may differ from the plain engine's, nats."""


def ordered(task: Task) -> list[Item]:
    """Items in an order drawn by hash: the same on every machine and run."""
    return sorted(task.items, key=lambda i: hashlib.sha256(f"study:{i.id}".encode()).hexdigest())


def margins(shares: NDArray[np.float32], gold: int) -> NDArray[np.float64]:
    """(cuts,) the right choice's log-share less the best wrong one's, nats."""
    wrong = np.delete(shares, gold, axis=1).max(axis=1)
    return np.asarray(shares[:, gold] - wrong, dtype=np.float64)


def best_layers(lines: Sequence[Line], items: Sequence[Item], count: int) -> list[int]:
    """The layers without whose attention these items' margins gain most."""
    seen = {line.item: line for line in lines}
    gains = []
    for item in items:
        line = seen[item.id]
        assert item.answer is not None
        margin = margins(line.shares, item.answer)
        cut = [cut.family == "attention" for cut in line.cuts]
        gains.append(margin[cut] - margin[line.cuts.index(BASE)])
    return np.argsort(-np.mean(gains, axis=0), kind="stable")[:count].tolist()


def cuts_for(layers: int, heads: int, lines: Sequence[Line], first: Sequence[Item]) -> list[Cut]:
    """The cuts of an item: behind the FIRST of a task also those that these chose."""
    every = layers * heads <= ALL_HEADS
    cuts = of_layers(layers) + (of_heads(range(layers), heads) if every else [])
    if {item.id for item in first} <= {line.item for line in lines}:
        cuts += of_pairs(best_layers(lines, first, PAIRS_OF))
        cuts += [] if every else of_heads(best_layers(lines, first, HEADS_OF), heads)
    return cuts


def run(model: Path, tasks: Sequence[Task], out: Path, items: int, checked: bool) -> None:
    """Sweep to `items` of each task, in rounds over the tasks."""
    from one_pass import OnePass

    from talo_export.models.loading import load_model

    loaded = load_model(str(model), dtype="float32")
    fast, started = OnePass(loaded), time.monotonic()
    if checked:
        from check import check

        few = [*of_layers(fast.layers)[::11], *of_heads([fast.layers // 2], 2), *of_pairs([3, 9])]
        few += [Cut("attention", 3)]
        apart = max(check(loaded, ordered(t)[:2], SCORING, few) for t in (tasks[0], tasks[-1]))
        print(f"largest difference to the plain engine: {apart:.2g} nats", flush=True)
        if not apart <= CLOSE:
            raise SystemExit("one_pass.py does not give what the product's engine gives")
    for upto in range(STEP, items + STEP, STEP):
        for task in tasks:
            path = out / model.name / f"{task.name}.jsonl"
            lines, order = read(path), ordered(task)
            known = {line.item for line in lines}
            # A step never straddles FIRST, so all its items have the same cuts.
            left = [i for i in order[upto - STEP : min(upto, items)] if i.id not in known]
            if not left:
                continue
            first = order[:FIRST] if upto > FIRST else order
            cuts = cuts_for(fast.layers, fast.heads, lines, first)
            fast.share(task.items, SCORING, cuts)
            for item in left:
                append(path, Line(item.id, cuts, fast.log_shares(item, SCORING)))
            minutes = (time.monotonic() - started) / 60
            print(f"{minutes:6.1f} min  {model.name} {task.name}: to {upto} items", flush=True)


def restore(known: Path, out: Path, tasks: Sequence[Task]) -> None:
    """Begin journals with the scores of a file; a journal that is there stays as it is."""
    by_name = {task.name: task for task in tasks}
    for (model, name), scores in load_scores(known).items():
        path = out / model / f"{name}.jsonl"
        if path.exists() or name not in by_name:
            continue
        for column, item in enumerate(ordered(by_name[name])[: len(scores.gold)]):
            shares = scores.shares[:, column, : len(item.choices)]
            rows = np.flatnonzero(np.isfinite(shares).all(axis=1))
            append(path, Line(item.id, [scores.cuts[row] for row in rows], shares[rows]))


def collect(out: Path, tasks: Sequence[Task]) -> dict[tuple[str, str], Scores]:
    """All journals, by model and task."""
    by_name = {task.name: task for task in tasks}
    return {
        (path.parent.name, path.stem): collected(read(path), by_name[path.stem])
        for path in sorted(out.glob("*/*.jsonl"))
    }


def collected(lines: Sequence[Line], task: Task) -> Scores:
    """One table of a journal; NaN where an item was not scored with a cut."""
    seen = {line.item: line for line in lines}
    items = [item for item in ordered(task) if item.id in seen]
    cuts = sorted({cut for line in lines for cut in line.cuts}, key=lambda cut: cut.row)
    row = {cut: at for at, cut in enumerate(cuts)}
    width = max(len(item.choices) for item in items)
    shares = np.full((len(cuts), len(items), width), np.nan, dtype=np.float32)
    for column, item in enumerate(items):
        line = seen[item.id]
        shares[[row[cut] for cut in line.cuts], column, : len(item.choices)] = line.shares
    gold = np.array([item.answer for item in items], dtype=np.int16)
    # Steps of 1/1024 nat: the bits below are noise, and only cost room.
    shares = np.rint(shares * 1024) / np.float32(1024)
    return Scores(tuple(cuts), shares, gold, labelled([item.choices for item in items]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="none: write what the journals hold")
    parser.add_argument("directory", type=Path, help="of .jsonl task files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=100, help="a task, in hash order")
    parser.add_argument("--tasks", type=int, default=len(PLAN), help="how many of the plan's")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--known", type=Path, help="a families.npz to go on from")
    arguments = parser.parse_args()
    tasks = [load_task_file(arguments.directory / f"{name}.jsonl") for name in PLAN]
    if arguments.known is not None:
        restore(arguments.known, arguments.out, tasks)
    if arguments.model is None:
        tables = collect(arguments.out, tasks)
        save_scores(arguments.out / "families.npz", tables)
        print(f"wrote {arguments.out / 'families.npz'}: {len(tables)} sweeps")
    else:
        chosen = tasks[: arguments.tasks]
        run(arguments.model, chosen, arguments.out, arguments.items, arguments.check)


if __name__ == "__main__":
    main()
