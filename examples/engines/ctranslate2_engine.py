"""An export in CTranslate2, through its own converter for transformers checkpoints.

pip install ctranslate2
python ctranslate2_engine.py EXPORT BASE
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.converters import TransformersConverter
from reference import compare, directories, token_ids


def main() -> None:
    export, base = directories()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        converted = Path(temporary) / "model"
        TransformersConverter(str(export)).convert(str(converted))
        generator = ctranslate2.Generator(str(converted), device="cpu", compute_type="float32")
        for ids in token_ids(export):
            output = generator.forward_batch(
                ctranslate2.StorageView.from_array(np.array([ids], dtype=np.int32)),
                ctranslate2.StorageView.from_array(np.array([len(ids)], dtype=np.int32)),
            )
            rows.append(np.array(output)[0, -1])
    compare(f"CTranslate2 {ctranslate2.__version__}", np.stack(rows), export, base, tolerance=1e-2)


if __name__ == "__main__":
    main()
