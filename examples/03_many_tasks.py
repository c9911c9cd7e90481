"""Many tasks: one sweep each with one loaded model, then what they say together.

    talo-export probe --model OWNER/NAME --task 'mmstar/*'
    talo-export analyze heatmap runs/NAME/*
    talo-export analyze side-effects runs/NAME/TASK runs/NAME/OTHER...

Each task's sweep has scored every layer on its own items, so what a layer chosen for one task does
to the others is known for nothing; it goes onto the card of each checkpoint.

python examples/03_many_tasks.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo_items import write_task_file

from talo_export import analyze, probe


def main(folder: Path) -> None:
    file = write_task_file(folder / "data", {"maps": 14, "borders": 14, "continents": 14})
    many = probe(task=f"{file}:*", shots=6, out=folder / "runs")
    for row in many.tasks:
        layer = "the base is kept" if row.layer is None else f"layer {row.layer}"
        print(f"{row.task}: {layer}, {row.verdict}")
    print(f"as a table: {many.table}")

    figure = analyze("heatmap", many.runs, out=folder / "analysis").files[-1]
    print(f"tasks by layers: {figure}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/guide-03"))
