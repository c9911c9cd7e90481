"""Checkpoints whose model code lies beside them: cut from files and config, the code never run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_bases import tiny_llama

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.proof import prove_export
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.configs import read_config
from talo_export.models.reference import ResolvedModel

CODE = """
from pathlib import Path
import os
Path(os.environ["RAN"]).touch()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedConfig, PreTrainedModel

class MysteryConfig(PreTrainedConfig):
    model_type = "mystery_chat"
    def __init__(self, llm_config=None, **others):
        super().__init__(**others)
        self.llm_config = LlamaConfig(**llm_config) if isinstance(llm_config, dict) else llm_config

class MysteryModel(PreTrainedModel):
    config_class = MysteryConfig
    def __init__(self, config):
        super().__init__(config)
        self.language_model = LlamaForCausalLM(config.llm_config)
        self.post_init()
    def get_input_embeddings(self):
        return self.language_model.get_input_embeddings()
    def forward(self, input_ids=None, attention_mask=None, use_cache=None):
        return self.language_model(input_ids=input_ids, attention_mask=attention_mask,
                                   use_cache=use_cache)
"""
AUTO_MAP = {
    "AutoConfig": "mystery.MysteryConfig",
    "AutoModelForCausalLM": "mystery.MysteryModel",
}


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists as soon as the repository's code has been run by anyone."""
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return tmp_path / "ran"


def write_base(folder: Path, tensors: Mapping[str, torch.Tensor], **config: object) -> Path:
    folder.mkdir()
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    document = {"model_type": "mystery_chat", "auto_map": AUTO_MAP, **config}
    (folder / "config.json").write_text(json.dumps(document))
    (folder / "mystery.py").write_text(CODE)
    return folder


@pytest.fixture
def chat(tmp_path: Path, ran: Path) -> Path:
    """A Llama inside a model of its own."""
    llama = tiny_llama()
    return write_base(
        tmp_path / "base",
        {f"language_model.{name}": tensor for name, tensor in llama.state_dict().items()},
        llm_config=llama.config.to_dict(),
        architectures=["MysteryModel"],
        dtype="float32",
    )


def test_a_known_language_model_inside_is_cut_and_computes_the_live_knockout(
    chat: Path, tmp_path: Path, ran: Path
) -> None:
    plan = plan_export(chat, Knockout(1), checkpoint_anatomy(chat))
    assert {edit.tensor for edit in plan.edits} == {
        f"language_model.model.layers.1.self_attn.{name}_proj.weight" for name in "qkvo"
    }
    write_export(plan, tmp_path / "out", base=str(chat))
    assert not ran.exists()
    with pytest.raises(TaloError, match="read it, then pass --trust-remote-code"):
        read_config(ResolvedModel(tmp_path / "out", "out", None))
    assert not ran.exists()
    proof = prove_export(tmp_path / "out", chat, Knockout(1), trust_remote_code=True)
    assert proof.ok
    assert ran.exists()


def test_other_shapes_than_the_known_models_are_not_taken_for_it(chat: Path) -> None:
    config = json.loads((chat / "config.json").read_text())
    config["llm_config"]["num_key_value_heads"] = 4
    (chat / "config.json").write_text(json.dumps(config))
    with pytest.raises(TaloError, match="--trust-remote-code"):
        checkpoint_anatomy(chat)


WIDTH, HEADS, KEY_HEADS, SIZE = 32, 4, 2, 8


def invented(output: str = "wo", *, more: bool = False) -> dict[str, torch.Tensor]:
    """A fused attention under names of its own; `more` adds a matrix that no attention has."""
    tensors = {"tok_embeddings.weight": torch.randn(50, WIDTH)}
    for layer in range(3):
        at = f"model.layers.{layer}"
        rows = (HEADS + 2 * KEY_HEADS) * SIZE
        tensors |= {
            f"{at}.attention.wqkv.weight": torch.randn(rows, WIDTH),
            f"{at}.attention.{output}.weight": torch.randn(WIDTH, WIDTH),
            f"{at}.attention.{output}.bias": torch.randn(WIDTH),
            f"{at}.feed_forward.w1.weight": torch.randn(48, WIDTH),
            f"{at}.feed_forward.w2.weight": torch.randn(WIDTH, 48),
        }
        if more:
            tensors[f"{at}.attention.gate.weight"] = torch.randn(WIDTH, WIDTH)
    return tensors


SIZES = {
    "vocab_size": 50,
    "hidden_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
}


def test_an_unknown_attention_is_told_by_its_shapes_and_only_its_output_is_cut(
    tmp_path: Path, ran: Path
) -> None:
    base = write_base(tmp_path / "base", invented(), **SIZES)
    anatomy = checkpoint_anatomy(base)
    assert [layer.attention[0].path for layer in anatomy.layers] == [
        f"model.layers.{layer}.attention" for layer in range(3)
    ]
    plan = plan_export(base, Knockout(2, "o_proj"), anatomy)
    assert [edit.tensor.removeprefix("model.layers.2.attention.") for edit in plan.edits] == [
        "wo.bias", "wo.weight",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="--scope o_proj"):
        plan_export(base, Knockout(2), anatomy)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("tensors", "sizes"),
    [
        (invented("mystery"), SIZES),
        (invented(more=True), SIZES),
        (invented(), SIZES | {"num_hidden_layers": 4}),
        (invented(), SIZES | {"vocab_size": 51}),
        (invented(), SIZES | {"num_key_value_heads": 4}),
    ],
    ids=["name", "matrix", "layers", "vocabulary", "heads"],
)
def test_what_does_not_fit_in_full_is_declined(
    tmp_path: Path, ran: Path, tensors: dict[str, torch.Tensor], sizes: dict[str, int]
) -> None:
    base = write_base(tmp_path / "base", tensors, **sizes)
    with pytest.raises(TaloError, match="cannot be told from its config and files alone"):
        checkpoint_anatomy(base)
    assert not ran.exists()
    assert "RAN" in os.environ
