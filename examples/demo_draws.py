"""Probe the demo with default options on fresh draws of a task, 300 items each.

    python examples/demo_draws.py --draws first second third
    python examples/demo_draws.py --model runs/demo_training/model --draws trial

Prints a row of Markdown for each.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from demo_items import write_items

from talo_export import probe
from talo_export.demo.bundled import demo_model_directory, load_demo_task
from talo_export.wording import interval, p_value, percent, points


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=str(demo_model_directory()))
    parser.add_argument("--task", default="maps")
    parser.add_argument("--draws", nargs="+", required=True)
    arguments = parser.parse_args()
    print("| draw | layer | other items | base | without it | gain | interval | p | verdict |")
    print("|---|--:|--:|--:|--:|--:|---|--:|---|")
    for draw in arguments.draws:
        with tempfile.TemporaryDirectory() as folder:
            task = write_items(Path(folder), load_demo_task(arguments.task, draw).items)
            result = probe(model=arguments.model, task=str(task), out=Path(folder) / "run")
        layer, judged = result.selected_layer, result.confirmation
        told = [draw, "-" if layer is None else str(layer), *6 * ["-"]]
        if judged is not None:
            told[2:] = [
                str(judged.n),
                percent(judged.base_accuracy),
                percent(judged.accuracy),
                points(judged.gain),
                interval(judged.ci95),
                p_value(judged.p_value),
            ]
        print(f"| {' | '.join([*told, result.verdict])} |", flush=True)


if __name__ == "__main__":
    main()
