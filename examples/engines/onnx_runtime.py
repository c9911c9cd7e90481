"""An export in ONNX Runtime, through PyTorch's own exporter. Language models and VLMs.

pip install onnx onnxscript onnxruntime
python onnx_runtime.py EXPORT BASE
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxscript import BOOL, INT64
from onnxscript import opset18 as op
from reference import Logits, arguments, compare, directories, questions


def is_all_true(values: BOOL) -> BOOL:
    """What transformers asserts of a model's inputs: an operator the exporter does not know."""
    return op.Cast(op.ReduceMin(op.Cast(values, to=INT64.dtype), keepdims=0), to=BOOL.dtype)


def main() -> None:
    export, base = directories()
    asked = questions(export)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "model.onnx"
        example = asked.inputs[0]
        shapes = None if asked.is_vlm else ({1: torch.export.Dim("tokens", min=2, max=64)},)
        torch.onnx.export(
            Logits(export, example), arguments(example), file, dynamo=True, dynamic_shapes=shapes,
            custom_translation_table={torch.ops.aten._is_all_true.default: is_all_true},
            verbose=False,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [given.name for given in session.get_inputs()]
        for question in asked.inputs:
            given = (tensor.numpy() for tensor in arguments(question))
            rows.append(session.run(None, dict(zip(names, given, strict=True)))[0][0, -1])
    compare(f"ONNX Runtime {onnxruntime.__version__}", np.stack(rows), export, base, asked)


if __name__ == "__main__":
    main()
