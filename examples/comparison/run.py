"""Base, knockout, LoRA and training-free rivals on many tasks: every number of the page beside.

    python examples/comparison/run.py smollm2 --model DIR --tasks FILE.jsonl ... --out FOLDER
    python examples/comparison/run.py demo --out FOLDER

The first line wants SmolLM2-135M-Instruct as a directory (`examples/convert.py` makes it)
and task files; the second uses the bundled model and its twelve tasks. A task is one `compare`; a
line that was interrupted goes on where it was. Afterwards the tables, the CSV and the figure are
drawn from whatever is there, which `--show` does alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figure import draw_gains
from tables import write_csv, write_tables

from talo_export import compare
from talo_export.demo.bundled import demo_task_names

SHOTS = (10, 20)
SEEDS = 3


@dataclass(frozen=True)
class Plan:
    """What is the same for every task of a model."""

    methods: tuple[str, ...]
    training: Mapping[str, Any]
    """`epochs`, `batch_size` and `lr`, where they are not the defaults."""
    test_limit: int


METHODS = ("base", "knockout", "calibration", "lora")

# One or two busy CPU cores had to do: fewer epochs than the default twenty, few test items.
PLANS = {
    "smollm2": Plan(METHODS, {"epochs": 4, "batch_size": 2, "lr": 1e-3}, test_limit=32),
    "demo": Plan(METHODS, {"epochs": 5}, test_limit=30),
}


def run(plan: Plan, model: str | None, tasks: list[str], out: Path) -> None:
    """One comparison a task, each in a folder of its own."""
    for task in tasks:
        print(task, flush=True)
        compare(
            model,
            task,
            methods=plan.methods,
            shots=SHOTS,
            seeds=SEEDS,
            test_limit=plan.test_limit,
            scoring="likelihood",
            **plan.training,
            out=out / Path(task).stem,
        )


def documents(out: Path) -> list[dict[str, Any]]:
    """What `compare` left, one document a task, by the task's name."""
    found = [json.loads(path.read_text()) for path in out.glob("*/compare.json")]
    return sorted(found, key=lambda document: document["task"])


def main() -> None:
    """Run the command line of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=sorted(PLANS))
    parser.add_argument("--model", help="where SmolLM2 lies")
    bundled = [f"demo/{name}" for name in demo_task_names()]
    parser.add_argument("--tasks", nargs="+", default=bundled, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="where the comparisons are kept")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent)
    parser.add_argument("--show", action="store_true", help="run nothing, draw what is there")
    given = parser.parse_args()
    if not given.show:
        run(PLANS[given.which], given.model, given.tasks, given.out)
    given.results.mkdir(parents=True, exist_ok=True)
    done = documents(given.out)
    write_csv(done, given.results / f"{given.which}.csv")
    write_tables(done, given.results / f"{given.which}.md")
    draw_gains(done, given.results / f"{given.which}.png")


if __name__ == "__main__":
    main()
