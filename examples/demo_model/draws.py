"""Probe the demo with default options on fresh draws of a task, 300 items each.

python examples/demo_model/draws.py --draws first second third
python examples/demo_model/draws.py --model runs/demo_training/model --draws trial
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from talo_export import probe
from talo_export.demo.bundled import demo_model_directory, load_demo_task
from talo_export.tasks.item import LETTERS
from talo_export.wording import interval, p_value, percent, points


def write_task_file(folder: Path, name: str, draw: str) -> Path:
    """A draw of a bundled task as a task file with its pictures."""
    rows = []
    for item in load_demo_task(name, draw).items:
        picture = item.images[0]
        (folder / picture.name).write_bytes(picture.read())
        rows.append(
            {
                "id": item.id,
                "image": picture.name,
                "question": item.question,
                "choices": list(item.choices),
                "answer": LETTERS[item.answer or 0],
            }
        )
    file = folder / f"{name}-{draw}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


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
            task = write_task_file(Path(folder), arguments.task, f" {draw}")
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
