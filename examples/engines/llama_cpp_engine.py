"""A GGUF file's export in llama.cpp, by the bindings that ship it compiled.

Language models only; both arguments are files. `float32_gguf.py` makes a base of float32.

pip install xllamacpp torch transformers gguf pillow
talo-export export --model BASE.gguf --layer 11 --out EXPORT
python llama_cpp_engine.py EXPORT/BASE.gguf BASE.gguf
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import xllamacpp
from gguf import GGUFReader, Keys
from numpy.typing import NDArray
from reference import Asked, compare, directories, questions

MORE_THAN_A_VOCABULARY = 10**6


def llama_cpp_log_probabilities(export: Path, asked: Asked) -> NDArray[np.float64]:
    """(questions, vocabulary) log-probabilities of the next token, caches in float32."""
    params = xllamacpp.CommonParams()
    params.model.path = str(export)
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    return np.array([_row(server, question["input_ids"][0].tolist()) for question in asked.inputs])


def _row(server: xllamacpp.Server, ids: list[int]) -> NDArray[np.float64]:
    answer = server.handle_completions(
        {"prompt": ids, "max_tokens": 1, "temperature": 0.0, "logprobs": MORE_THAN_A_VOCABULARY}
    )
    (position,) = answer["choices"][0]["logprobs"]["content"]
    row = np.empty(len(position["top_logprobs"]))
    for token in position["top_logprobs"]:
        row[token["id"]] = token["logprob"]
    return row


def main() -> None:
    export, base = directories()
    asked = questions(base)
    rows = llama_cpp_log_probabilities(export, asked)
    # On Gemma the base itself is 0.01 from transformers.
    architecture = GGUFReader(base).fields[Keys.General.ARCHITECTURE].contents()
    tolerance = 0.1 if architecture.startswith("gemma") else 0.01
    engine = f"llama.cpp, by xllamacpp {version('xllamacpp')}"
    compare(engine, rows, export, base, asked, tolerance=tolerance)


if __name__ == "__main__":
    main()
