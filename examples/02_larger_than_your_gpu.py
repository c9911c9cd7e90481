"""A model larger than your GPU: its layers are brought in one by one, and nothing changes.

accelerate places what fits on the GPU, then in host memory, then on disk. Each layer is brought in
once for all variants of an item, so that a sweep costs about one pass through the weights an item:

    talo-export probe --model OWNER/NAME --task my.jsonl \\
        --device-map auto --max-memory 0=20GB,cpu=50GB --offload /scratch/offload

Here the demo (10 MB) is allowed 4 MB, so that its decoder stays on disk, with or without a GPU.

python examples/02_larger_than_your_gpu.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from demo_items import write_task_file

from talo_export import probe


def main(folder: Path) -> None:
    file = write_task_file(folder / "data", {"maps": 4})
    options: dict[str, Any] = {"task": str(file), "shots": None, "checkpoint": False}
    at_hand = probe(**options, device="cpu", out=folder / "in-memory")
    limits = {"cpu": "4MB"}
    on_disk = probe(
        **options, device_map="auto", max_memory=limits, offload=folder / "weights",
        out=folder / "offloaded",
    )  # fmt: skip
    for name, run in (("in memory", at_hand), ("offloaded", on_disk)):
        cost = run.cost
        print(f"{name}: {cost.layer_evaluations} layer evaluations, {cost.seconds:.1f} s")
    assert on_disk.probe.accuracy == at_hand.probe.accuracy
    print("the same answers, layer by layer")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/guide-02"))
