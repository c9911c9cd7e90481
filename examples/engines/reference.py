"""What every engine here is held against: stock transformers on the same exported directory.

An engine script answers the prompts with its own runtime and hands its next-token logits to
`compare`: they must be those of the exported checkpoint, and they must not be the base's.
Nothing here imports talo_export: an export is a checkpoint like any other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = (
    "The capital of France is",
    "Question: Which is larger, Texas or Rhode Island?\nAnswer:",
    "Water boils at a temperature of",
)


def directories() -> tuple[Path, Path]:
    """The export and its base, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", type=Path, help="a directory written by talo-export")
    parser.add_argument("base", type=Path, help="the model it was made from")
    given = parser.parse_args()
    return given.export, given.base


def token_ids(directory: Path) -> list[list[int]]:
    """The prompts as the model's own tokenizer reads them."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    return [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]


def next_token_logits(directory: Path) -> NDArray[np.float32]:
    """(prompts, vocabulary) logits of the token after each prompt, by stock transformers."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.inference_mode():
        rows = [model(torch.tensor([ids])).logits[0, -1] for ids in token_ids(directory)]
    return torch.stack(rows).numpy()


def compare(
    engine: str, logits: NDArray[np.floating], export: Path, base: Path, *, tolerance: float
) -> None:
    """Print how far the engine is from the export and from the base; fail if it is not the export.

    Compared are log-probabilities, since an engine may return those instead of logits. NaN marks
    what an engine did not return.
    """
    ours = _log_softmax(logits) if not np.isnan(logits).any() else logits
    wanted, unwanted = (_log_softmax(next_token_logits(path)) for path in (export, base))
    to_export = float(np.nanmax(np.abs(ours - wanted)))
    to_base = float(np.nanmax(np.abs(ours - unwanted)))
    same = int((np.nanargmax(ours, axis=1) == wanted.argmax(axis=1)).sum())
    print(
        f"{engine}: largest difference in log-probability to the export {to_export:.2g}, "
        f"to the base {to_base:.2g}; same best token on {same} of {len(wanted)} prompts"
    )
    if to_export > tolerance or to_base < 10 * tolerance or same < len(wanted):
        raise SystemExit(f"{engine} does not compute what the export does.")


def _log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
