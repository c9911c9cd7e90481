"""An export in OpenVINO, converted in memory from the PyTorch module. Language models and VLMs.

pip install openvino
python openvino_engine.py EXPORT BASE
"""

from __future__ import annotations

import numpy as np
import openvino
from reference import Logits, arguments, compare, directories, questions


def main() -> None:
    export, base = directories()
    asked = questions(export)
    example = asked.inputs[0]
    # A VLM's picture fixes how many tokens there are; a prompt may have any number.
    shapes = None if asked.is_vlm else [("input_ids", [1, -1], np.int64)]
    model = openvino.convert_model(
        Logits(export, example), example_input=arguments(example), input=shapes
    )
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = [
        compiled([tensor.numpy() for tensor in arguments(question)])[0][0, -1]
        for question in asked.inputs
    ]
    version = openvino.__version__.split("-")[0]
    compare(f"OpenVINO {version}", np.stack(rows), export, base, asked)


if __name__ == "__main__":
    main()
