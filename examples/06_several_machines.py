"""Several processes, on one machine or many: each answers its share of the items.

On one machine with four GPUs:

    accelerate launch --num_processes 4 -m talo_export probe --model OWNER/NAME --task my.jsonl

On two machines that see one file system, the same line on each, with its own rank:

    torchrun --nnodes 2 --node-rank 0 --master-addr HOST --nproc-per-node 4 \\
        -m talo_export probe --model OWNER/NAME --task my.jsonl

An answer does not depend on who gives it: the result is that of one process, and a run that lost a
process goes on from what all of them had answered. Here two processes share the demo on this
machine.

python examples/06_several_machines.py [FOLDER]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo_items import write_task_file

LAUNCH = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "talo_export")


def run(launcher: tuple[str, ...], file: Path, out: Path) -> dict[str, Any]:
    """The result that the run leaves in its directory."""
    line = ["probe", "--task", str(file), "--shots", "6", "--no-checkpoint", "--out", str(out)]
    subprocess.run([sys.executable, "-m", *launcher, *line, "--quiet"], check=True)
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))["result"]


def main(folder: Path) -> None:
    file = write_task_file(folder / "data", {"maps": 12})
    alone = run(("talo_export",), file, folder / "one-process")
    shared = run(LAUNCH, file, folder / "two-processes")
    for result in (alone, shared):
        for name in ("cost", "run", "command"):
            del result[name]
    assert shared == alone
    print("two processes found what one finds")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/guide-06"))
