"""An export in MLX, on a CPU too: mlx-lm reads the directory as it is.

Language models only.

pip install 'mlx[cpu]' mlx-lm torch transformers pillow
python mlx_engine.py EXPORT BASE
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_lm import load
from numpy.typing import NDArray
from reference import Asked, compare, directories, questions


def mlx_logits(export: Path, asked: Asked) -> NDArray[np.float32]:
    """(questions, vocabulary) logits of the next token, in float32."""
    model, *_ = load(str(export))
    model.set_dtype(mx.float32)
    rows = [
        model(mx.array(question["input_ids"].numpy()))[0, -1].astype(mx.float32)
        for question in asked.inputs
    ]
    return np.stack([np.array(row) for row in rows])


def main() -> None:
    export, base = directories()
    asked = questions(base)
    rows = mlx_logits(export, asked)
    # MLX rounds the factor on Gemma's embeddings to bfloat16, whatever it computes in.
    is_gemma = "gemma" in json.loads((base / "config.json").read_text())["model_type"]
    tolerance = 0.1 if is_gemma else 0.01
    compare(f"MLX {version('mlx')}", rows, export, base, asked, tolerance=tolerance)


if __name__ == "__main__":
    main()
