"""An export in OpenVINO, converted in memory from the PyTorch module.

pip install openvino
python openvino_engine.py EXPORT BASE
"""

from __future__ import annotations

import numpy as np
import openvino
import torch
from onnx_runtime import Logits
from reference import compare, directories, token_ids


def main() -> None:
    export, base = directories()
    prompts = [torch.tensor([ids]) for ids in token_ids(export)]
    model = openvino.convert_model(
        Logits(export), example_input=prompts[0], input=[("input_ids", [1, -1], np.int64)]
    )
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = [compiled(ids.numpy())[0][0, -1] for ids in prompts]
    version = openvino.__version__.split("-")[0]
    compare(f"OpenVINO {version}", np.stack(rows), export, base, tolerance=1e-2)


if __name__ == "__main__":
    main()
