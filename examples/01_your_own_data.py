"""Your own data: a file of questions, from a first check to a patched checkpoint.

One JSON line an item: `question`, `choices`, `answer`, `image` (a path beside the file), and what
else you like. Here the items are the demo's; with your own it is the same commands:

    talo-export tasks check my.jsonl
    talo-export probe --model OWNER/NAME --task my.jsonl

python examples/01_your_own_data.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo_items import write_task_file

from talo_export import load_task, probe


def main(folder: Path) -> None:
    file = write_task_file(folder / "data", {"maps": 32})
    task = load_task(f"{file}")
    print(f"{file.name}: {len(task)} items, chance {100 * task.chance:.0f} %")

    result = probe(task=str(file), shots=12, out=folder / "run")
    gains = ", ".join("-" if gain is None else f"{100 * gain:+.0f}" for gain in result.probe.gains)
    print(f"gain of each layer's knockout on {result.probe.n} items, in points: {gains}")
    print(f"verdict: {result.verdict}")
    if result.checkpoint:
        print(f"load it with from_pretrained({str(result.checkpoint)!r})")
    print(f"the whole story: {result.run}/report.html")

    # The same line again shows the finished run; after a kill it would go on.
    assert probe(task=str(file), shots=12, out=folder / "run") == result


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/guide-01"))
