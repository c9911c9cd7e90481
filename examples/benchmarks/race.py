"""What a race would have spared: replayed on finished sweeps, without a forward pass.

    python examples/benchmarks/race.py scores.npz              # of examples/selection_study
    python examples/benchmarks/race.py runs/my-vlm/maps ...    # runs of `probe --shots all`

Each task's sweep is raced in `--orders` random orders of its items, by the product's own rule. A
line says how many layer evaluations the race took (the base and every layer until it is dropped,
from its own layer up), how often the criterion then chose what it chooses on the whole sweep, and
how often the layer that is best by the mean was dropped, which the error rate bounds.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from talo_export.errors import TaloError
from talo_export.evidence.racing import ERROR, STEP, bounded_scores, still_racing
from talo_export.evidence.selection import select
from talo_export.jobs.scores import read_run
from talo_export.probing.scores import ScoreTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--criterion", default="probability")
    parser.add_argument("--least", type=int, default=100, help="items a task must have")
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--error", type=float, default=ERROR)
    args = parser.parse_args()
    print("| task | items | layer evaluations, times fewer | same choice | best layer dropped |\n"
          "|---|--:|--:|--:|--:|")  # fmt: skip
    totals = np.zeros(4)
    for name, table in tables(args.sources):
        n = len(table.item_ids)
        if n < args.least:
            continue
        found = np.zeros(4)
        for seed in range(args.orders):
            order = np.random.default_rng(seed).permutation(n)
            found += raced(table.take_items(order), args.criterion, args.error)
        totals += found
        print(line(name, str(n), found, args.orders), flush=True)
    print(line("all", "", totals, round(totals[0])))


def line(name: str, n: str, found: np.ndarray, races: int) -> str:
    _, spared, same, lost = found
    return f"| {name} | {n} | {races / spared:.2f} | {same:.0f} of {races} | {lost:.0f} |"


def tables(sources: list[Path]) -> list[tuple[str, ScoreTable]]:
    """Each task's whole sweep."""
    found: list[tuple[str, ScoreTable]] = []
    for source in sources:
        if source.suffix == ".npz":
            sys.path.insert(0, str(Path(__file__).parents[1] / "selection_study"))
            from tables import load_tables

            found += load_tables(source)[0].items()
        else:
            found.append((source.name, read_run(source).probed))
    return found


def raced(table: ScoreTable, criterion: str, error: float) -> np.ndarray:
    """(1, share of the layer evaluations, same choice, best layer dropped) of one race."""
    n = len(table.item_ids)
    depth = 1 + max(variant.layer for variant in table.variants if variant)
    scored = table.scored.copy()
    for seen in range(STEP, n, STEP):
        part = replace(table, scored=scored).take_items(np.arange(seen))
        kept = {None, *still_racing(part, n, criterion, error)}
        for row, variant in enumerate(table.variants):
            if variant not in kept:
                scored[row, seen:] = False
    height = np.array([depth - (0 if v is None else v.layer) for v in table.variants])
    share = float((scored * height[:, None]).sum() / (n * height.sum()))
    means = bounded_scores(table, criterion).mean(axis=1)
    means[table.row(None)] = -np.inf
    best = int(means.argmax())
    return np.array([1, share, choice(replace(table, scored=scored), criterion)
                     == choice(table, criterion), not scored[best].all()])  # fmt: skip


def choice(table: ScoreTable, criterion: str) -> object:
    """The knockout that the criterion chooses, None for the base."""
    try:
        return select(table, criterion=criterion).knockout
    except TaloError as error:
        return str(error)


if __name__ == "__main__":
    main()
