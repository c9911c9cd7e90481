"""The same knockout as a PEFT adapter on the base, against the exported checkpoint.

talo-export export --model BASE --layer 12 --as adapter --out ADAPTER
python peft_adapter.py EXPORT BASE ADAPTER
"""

from __future__ import annotations

import sys
from pathlib import Path

import peft
import torch
from reference import compare, load, questions


def main() -> None:
    export, base, adapter = map(Path, sys.argv[1:])
    asked = questions(base)
    model = peft.PeftModel.from_pretrained(load(base), adapter)
    with torch.inference_mode():
        rows = [model(**question).logits[0, -1] for question in asked.inputs]
    compare(f"PEFT {peft.__version__}", torch.stack(rows).numpy(), export, base, asked)


if __name__ == "__main__":
    main()
