"""acc and acc_norm agree with lm-eval's, item by item, on a real model small enough for a test."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from talo_export.models.loading import LoadedModel, load_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "tasks" / "harness_agreement.py"
YAML = """
dataset_path: json
test_split: test
output_type: multiple_choice
description: "Choose.\\n\\n"
doc_to_text: "Q: {{q}}\\nA:"
doc_to_choice: "{{options}}"
doc_to_target: gold
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
WORDS = ["a", "stone", "the green leaf", "rain over the hills", "seven", "É"]


@pytest.fixture(scope="module")
def agreement() -> ModuleType:
    """The example script, as a module."""
    spec = importlib.util.spec_from_file_location("harness_agreement", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A random Llama of two layers that reads bytes, saved and loaded as any model is."""
    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: number for number, sign in enumerate(["<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return load_model(str(folder), dtype="float32", device="cpu")


def test_acc_and_acc_norm_are_lm_evals(agreement, model, tmp_path: Path) -> None:
    rows = [
        {"q": f"Number {n}?", "options": WORDS[n % 3 : n % 3 + 2 + n % 3], "gold": n % 2}
        for n in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tiny.yaml").write_text(YAML)
    path, file = tmp_path / "tiny.yaml", tmp_path / "rows.jsonl"
    theirs, ours = agreement.theirs(model, path, file), agreement.ours(model, path, file)
    assert len(theirs) == len(ours) == len(rows)
    for there, here in zip(theirs, ours, strict=True):
        assert here["sums"] == pytest.approx(there["sums"], abs=1e-4)
        assert {name: here[name] for name in ("acc", "acc_norm")} == {
            name: there[name] for name in ("acc", "acc_norm")
        }
    # Otherwise the two would agree whatever either of them divided by.
    assert any(there["acc"] != there["acc_norm"] for there in theirs)
