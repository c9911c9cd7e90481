"""A sweep by lm-evaluation-harness, one run a layer, against `talo-export probe` on the same items.

    python examples/convert.py smollm2
    python examples/benchmarks/harness.py smollm2 --items 20 --layers 5 --write

What a user would otherwise do: cut every layer's attention into a checkpoint of its own (done here
by `talo-export export`, and not counted), run `lm_eval --model hf` on each and on the base, and
compare the accuracies. Both sides are whole commands, processes started and libraries imported, on
the first items of [`capitals.jsonl`](../smollm2/capitals.jsonl), in float32, the choices' texts
compared by likelihood; lm-eval takes 8 requests at once. Both must come to the same accuracy for
every layer. `--layers N` runs only N of lm-eval's runs beside the base's, evenly chosen, and scales
the time: they cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parents[1]
PAGE = Path(__file__).with_suffix(".md")
TASK = "capitals"


def run(words: list[str], folder: Path) -> tuple[float, float, str]:
    """Wall and processor seconds of a command, and what it printed. Raises SystemExit."""
    own = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    started, before = time.perf_counter(), os.times()
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **own})
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    spent = after.children_user - before.children_user + after.children_system
    return time.perf_counter() - started, spent - before.children_system, done.stdout


def write_task(folder: Path, items: int) -> Path:
    """The first items of the capitals and a task file of lm-eval's that reads them."""
    with (EXAMPLES / "smollm2" / "capitals.jsonl").open(encoding="utf-8") as file:
        (folder / "rows.jsonl").write_text("".join(islice(file, items)), encoding="utf-8")
    task = yaml.safe_load((EXAMPLES / "tasks" / "capitals.yaml").read_text(encoding="utf-8"))
    task |= {"task": TASK, "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
    path = folder / "capitals.yaml"
    path.write_text(yaml.safe_dump(task), encoding="utf-8")
    return path


def by_harness(model: Path, task: Path, out: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and accuracy of one run of lm-eval."""
    words = [
        sys.executable, "-m", "lm_eval", "--model", "hf",
        "--model_args", f"pretrained={model},dtype=float32", "--tasks", TASK,
        "--include_path", str(task.parent), "--device", "cpu", "--batch_size", "8",
        "--output_path", str(out),
    ]  # fmt: skip
    wall, spent, _ = run(words, task.parent)
    (written,) = out.rglob("results_*.json")
    return wall, spent, json.loads(written.read_text())["results"][TASK]["acc,none"]


def by_probe(model: Path, task: Path) -> tuple[float, float, dict[str, Any]]:
    """Wall seconds, processor seconds and the result of a probe of all items."""
    words = [
        sys.executable, "-m", "talo_export", "probe", "--model", str(model), "--task", str(task),
        "--shots", "all", "--scoring", "likelihood", "--choice-text", "--dtype", "float32",
        "--out", str(task.parent / "run"), "--json",
    ]  # fmt: skip
    wall, spent, printed = run(words, task.parent)
    return wall, spent, json.loads(printed)


def measured(model: Path, items: int, layers: int | None) -> tuple[list[str], bool]:
    """The table's lines, and whether all accuracies are the same."""
    with tempfile.TemporaryDirectory(dir=model.parent) as name:
        folder = Path(name)
        task = write_task(folder, items)
        wall, spent, result = by_probe(model, task)
        ours = dict(enumerate(result["probe"]["accuracy"]))
        count = result["layers"]
        chosen = range(count) if layers is None else range(0, count, max(1, count // layers))
        theirs, walls, times = {}, [], []
        for layer in (None, *chosen):
            checkpoint = model
            if layer is not None:
                checkpoint = folder / f"layer-{layer}"
                cut = ["export", "--model", str(model), "--layer", str(layer), "--link"]
                run([sys.executable, "-m", "talo_export", *cut, "--out", str(checkpoint)], folder)
            seconds, processor, accuracy = by_harness(checkpoint, task, folder / f"out-{layer}")
            theirs[layer] = accuracy
            walls.append(seconds)
            times.append(processor)
            print(f"layer {layer}: lm-eval {accuracy:.4f}, {seconds:.0f} s", file=sys.stderr)
    expected = {None: result["probe"]["base_accuracy"], **{k: ours[k] for k in chosen}}
    same = sum(abs(theirs[layer] - value) < 1e-6 for layer, value in expected.items())
    scale = (count + 1) / len(walls)
    lines = [
        "| way | processes | wall s | processor s | x wall | x processor |",
        "|---|--:|--:|--:|--:|--:|",
        f"| `lm_eval --model hf`, base and each layer ({len(walls)} of {count + 1} run) "
        f"| {count + 1} | {scale * sum(walls):.0f} | {scale * sum(times):.0f} | 1.0 | 1.0 |",
        f"| `talo-export probe --shots all` | 1 | {wall:.0f} | {spent:.0f} "
        f"| **{scale * sum(walls) / wall:.1f}** | **{scale * sum(times) / spent:.1f}** |",
        "",
        f"The accuracies are the same in {same} of {len(expected)} runs.",
    ]
    return lines, same == len(expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="a text model's directory")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--layers", type=int, help="of lm-eval's runs, only so many")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} beside this file")
    arguments = parser.parse_args()
    lines, same = measured(arguments.model.resolve(), arguments.items, arguments.layers)
    print("\n".join(lines))
    if arguments.write:
        about, _, rest = (__doc__ or "").partition("\n\n")
        how = rest.partition("\n\n")[2]
        words = " ".join(["python examples/benchmarks/harness.py", *sys.argv[1:]])
        table = "\n".join(lines)
        versions = (
            f"lm-eval {version('lm-eval')}, transformers {version('transformers')}, torch "
            + (f"{version('torch')}, {os.cpu_count()} processors, {arguments.items} items.")
        )
        PAGE.write_text(f"# {about}\n\n```sh\n{words}\n```\n\n{table}\n\n{how}\n{versions}\n")
    if not same:
        raise SystemExit("the two do not come to the same accuracies")


if __name__ == "__main__":
    main()
