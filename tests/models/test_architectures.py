"""One architecture of every kind, end to end, and the committed table of all of them.

What is checked of each, the head of `examples/architectures/proving.py` says; the same code wrote
the table.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import transformers
from proving import examine

TABLE = Path(__file__).parents[2] / "examples" / "architectures" / "coverage.md"

PROVED = {
    "plain": ("causal-lm", "llama", "self-attention"),
    "fused, transposed, biased": ("causal-lm", "gpt2", "self-attention"),
    "fused, parallel to the feed-forward block": ("causal-lm", "gpt_neox", "self-attention"),
    "norms after attention": ("causal-lm", "gemma2", "self-attention"),
    "the residual add inside the attention": ("causal-lm", "bert", "self-attention"),
    "matrices without a module": ("causal-lm", "xlnet", "self-attention"),
    "sinks": ("causal-lm", "gpt_oss", "self-attention"),
    "latent attention": ("causal-lm", "deepseek_v3", "self-attention"),
    "keys and values shared by layers": ("causal-lm", "gemma3n_text", "self-attention"),
    "indexers shared by layers": ("image-text-to-text", "mistral_large4", "self-attention"),
    "stored fused with a gate": ("causal-lm", "hrm_text", "self-attention"),
    "Mamba beside attention": ("causal-lm", "falcon_h1", "mamba"),
    "Mamba between": ("causal-lm", "nemotron_h", "mamba"),
    "convolutions between": ("causal-lm", "lfm2", "convolution"),
    "linear attention between": ("causal-lm", "qwen3_next", "linear-attention"),
    "linear attention called self_attn": ("causal-lm", "kimi_linear", "linear-attention"),
    "a prefix of its own on disk": ("image-text-to-text", "llava", "self-attention"),
    "injections between layers": ("image-text-to-text", "qwen3_vl", "self-attention"),
    "cross-attention layers": ("image-text-to-text", "mllama", "cross-attention"),
    "cross-attention in a list apart": ("image-text-to-text", "idefics", "self-attention"),
    "an encoder's decoder": ("image-text-to-text", "florence2", "cross-attention"),
    "self- and cross-attention merged": ("image-text-to-text", "t5gemma2", "self-attention"),
    "a querying transformer": ("image-text-to-text", "blip-2", "self-attention"),
    "a film instead of a picture": ("image-text-to-text", "instructblipvideo", "self-attention"),
    "codebooks instead of text": ("causal-lm", "musicgen", "self-attention"),
    "a class that no auto class makes": ("causal-lm", "mllama", "cross-attention"),
}
DECLINED = {
    "one block for several layers": ("causal-lm", "zamba2", "cutting it would cut them all"),
    "one block for encoder and decoder": (
        "image-text-to-text",
        "diffusion_gemma",
        "cutting it would cut them all",
    ),
    "Mamba alone": ("causal-lm", "mamba2", "no layer has self-attention"),
    "two residual streams": ("causal-lm", "reformer", "not added to the layer's hidden states"),
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    transformers.logging.set_verbosity_error()


@pytest.mark.parametrize("kind", PROVED)
def test_a_knockout_on_disk_is_the_live_knockout(kind: str, tmp_path: Path) -> None:
    mapping, model_type, mixer = PROVED[kind]
    finding = examine(mapping, model_type, tmp_path / "base")
    assert (finding.wrong, finding.unusable, finding.refused) == ("", "", "")
    assert finding.proved
    assert mixer in finding.mixers


@pytest.mark.parametrize("kind", DECLINED)
def test_what_cannot_be_cut_is_declined_with_the_reason(kind: str, tmp_path: Path) -> None:
    mapping, model_type, reason = DECLINED[kind]
    finding = examine(mapping, model_type, tmp_path / "base")
    assert (finding.wrong, finding.unusable, finding.proved) == ("", "", [])
    assert reason in finding.refused


def test_the_table_has_nothing_wrong_and_nearly_all_of_it_proved() -> None:
    verdicts = [
        row.rsplit("|", 2)[1].strip()
        for row in TABLE.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| (image-text-to-text|causal-lm) \|", row)
    ]
    # Behind a verdict may stand the libraries that it took.
    verdicts = [re.sub(r"^proved \(.*\)$", "proved", verdict) for verdict in verdicts]
    built = [verdict for verdict in verdicts if not verdict.startswith("not examined: ")]
    assert len(verdicts) > 280
    assert not [verdict for verdict in verdicts if verdict.startswith("WRONG")]
    assert built.count("proved") / len(built) > 0.95
    assert all(verdict == "proved" or verdict.startswith("declined: ") for verdict in built)
