"""What a race would have spared: replayed on finished sweeps, without a forward pass.

    python examples/benchmarks/race.py scores.npz              # of examples/selection_study
    python examples/benchmarks/race.py runs/my-vlm/maps ...    # runs of `probe --shots all`

Each task's sweep is raced in `--orders` random orders of its items, by the product's own rule. A
line says how many layer evaluations the race took (the base and every layer until it is dropped,
from its own layer up, nobody once it is settled), and how often the criterion then chose what it
chooses on the whole sweep. The error rate bounds how often it may not.

`--resample N` races probing sets of N items drawn with replacement from the sweep's instead: as
many as are wanted from fewer, at the price of repeats (and of effects that spread wider over the
layers than in N fresh items).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from talo_export.errors import TaloError
from talo_export.evidence.race_bets import class_columns
from talo_export.evidence.racing import ERROR, STEP, Contest
from talo_export.evidence.selection import DEFAULT_CRITERION, select
from talo_export.jobs.scores import read_run
from talo_export.probing.scores import ScoreTable


def main() -> None:
    args = arguments()
    print("| task | items | layer evaluations, times fewer | same choice |\n"
          "|---|--:|--:|--:|")  # fmt: skip
    totals = np.zeros(3)
    for name, table in tables(args.sources):
        n = len(table.item_ids)
        if n < args.least or (args.tasks and name not in args.tasks):
            continue
        found = np.zeros(3)
        for seed in range(args.orders):
            draw = np.random.default_rng(seed)
            order = draw.integers(0, n, args.resample) if args.resample else draw.permutation(n)
            found += raced(table.take_items(order), args)
        totals += found
        print(line(name, str(n), found), flush=True)
    print(line("all", "", totals))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--criterion", default=DEFAULT_CRITERION)
    parser.add_argument("--min-gain", type=float, help="as probe has it")
    parser.add_argument("--least", type=int, default=80, help="items a task must have")
    parser.add_argument("--tasks", nargs="*", help="only these")
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--resample", type=int, help="draw so many items, with replacement")
    parser.add_argument("--error", type=float, default=ERROR)
    return parser.parse_args()


def line(name: str, n: str, found: np.ndarray) -> str:
    races, share, same = found
    return f"| {name} | {n} | {races / share:.2f} | {same:.0f} of {races:.0f} |"


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


def raced(table: ScoreTable, args: argparse.Namespace) -> np.ndarray:
    """(1, share of the layer evaluations, same choice) of one race."""
    n = len(table.item_ids)
    depth = 1 + max(variant.layer for variant in table.variants if variant)
    # The choices' places: their texts, which the product knows, are not in a file of scores.
    classes = class_columns([str(gold) for gold in table.gold.tolist()])
    contest = Contest(classes, args.criterion, least_gain(args), args.error)
    scored = table.scored.copy()
    seen = STEP
    while seen < n:
        part = replace(table, scored=scored).take_items(np.arange(seen))
        standing = contest.standing(part)
        if standing.settled:
            scored[:, seen:] = False
            break
        kept = {None, *standing.racing}
        for row, variant in enumerate(table.variants):
            if variant not in kept:
                scored[row, seen:] = False
        seen += STEP
    height = np.array([depth - (0 if v is None else v.layer) for v in table.variants])
    share = float((scored * height[:, None]).sum() / (n * height.sum()))
    ended = replace(table, scored=scored).take_items(np.arange(min(seen, n)))
    return np.array([1, share, choice(ended, args) == choice(table, args)])


def choice(table: ScoreTable, args: argparse.Namespace) -> object:
    """The knockout that the criterion chooses, None for the base."""
    try:
        return select(table, criterion=args.criterion, min_gain=least_gain(args)).knockout
    except TaloError as error:
        return str(error)


def least_gain(args: argparse.Namespace) -> float | None:
    """The minimum gain as a share."""
    return None if args.min_gain is None else args.min_gain / 100


if __name__ == "__main__":
    main()
