"""An export in CTranslate2, through its own converter for transformers checkpoints.

Language models only: CTranslate2 has no vision towers.

pip install ctranslate2
python ctranslate2_engine.py EXPORT BASE
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.converters import TransformersConverter
from reference import compare, directories, questions


def main() -> None:
    export, base = directories()
    asked = questions(export)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        converted = Path(temporary) / "model"
        TransformersConverter(str(export)).convert(str(converted))
        generator = ctranslate2.Generator(str(converted), device="cpu", compute_type="float32")
        for question in asked.inputs:
            ids = question["input_ids"].numpy().astype(np.int32)
            output = generator.forward_batch(
                ctranslate2.StorageView.from_array(ids),
                ctranslate2.StorageView.from_array(np.array([ids.shape[1]], dtype=np.int32)),
            )
            rows.append(np.array(output)[0, -1])
    compare(f"CTranslate2 {ctranslate2.__version__}", np.stack(rows), export, base, asked)


if __name__ == "__main__":
    main()
