"""An export in lm-evaluation-harness, through its own Hugging Face model (`--model hf`).

Language models only.

pip install 'lm-eval[hf]'
python lm_eval_engine.py EXPORT BASE
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import torch
from lm_eval.models.huggingface import HFLM
from reference import Asked, compare, directories, questions


def harness_logits(export: Path, asked: Asked) -> torch.Tensor:
    """(questions, vocabulary) logits of the next token, by the call that scores every request."""
    model = HFLM(pretrained=str(export), dtype="float32", device="cpu")
    rows = [model._model_call(question["input_ids"])[0, -1] for question in asked.inputs]
    return torch.stack(rows)


def main() -> None:
    export, base = directories()
    asked = questions(base)
    logits = harness_logits(export, asked).numpy()
    compare(f"lm-evaluation-harness {version('lm_eval')}", logits, export, base, asked)


if __name__ == "__main__":
    main()
