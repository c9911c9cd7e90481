"""Why not just fine-tune? The knockout and LoRA on the same few items, tested on the same others.

    talo-export compare --model OWNER/NAME --task maps --shots 10,20,50
    talo-export compare --model OWNER/NAME --task maps --methods base,knockout,lora,few-shot
    talo-export compare --model OWNER/NAME --estimate

Each cell of the table is measured in a process of its own. Interrupt it whenever you like: the same
line goes on where it was.

python examples/04_compare_with_lora.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo_items import write_task_file

from talo_export import compare


def main(folder: Path) -> None:
    file = write_task_file(folder / "data", {"continents": 24})
    result = compare(
        task=f"{file}:continents",
        methods=("base", "knockout", "lora"),
        shots=(8,),
        seeds=1,
        out=folder / "comparison",
    )
    for row in result.methods:
        accuracy = row.not_done if row.accuracy is None else f"{100 * row.accuracy:.0f} %"
        print(
            f"{row.method}: {accuracy} of {result.test_n} items, "
            f"{row.trainable_parameters} parameters trained"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/guide-04"))
