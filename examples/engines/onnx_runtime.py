"""An export in ONNX Runtime, through PyTorch's own exporter.

pip install onnx onnxscript onnxruntime
python onnx_runtime.py EXPORT BASE
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from reference import compare, directories, token_ids
from transformers import AutoModelForCausalLM


class Logits(torch.nn.Module):
    """The model as a function from token ids to logits, without a cache."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(1, tokens) -> (1, tokens, vocabulary)."""
        everything = torch.ones_like(input_ids)
        return self.model(input_ids, attention_mask=everything, use_cache=False).logits


def main() -> None:
    export, base = directories()
    prompts = [torch.tensor([ids]) for ids in token_ids(export)]
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "model.onnx"
        tokens = torch.export.Dim("tokens", min=2, max=64)
        torch.onnx.export(
            Logits(export), (prompts[0],), file, dynamo=True, dynamic_shapes=({1: tokens},),
            verbose=False,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        rows = [session.run(None, {name: ids.numpy()})[0][0, -1] for ids in prompts]
    compare(f"ONNX Runtime {onnxruntime.__version__}", np.stack(rows), export, base, tolerance=1e-2)


if __name__ == "__main__":
    main()
