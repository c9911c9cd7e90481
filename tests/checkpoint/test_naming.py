"""Names on disk and in memory: older layouts, tensors nobody loads, tensors that feed several."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from proving import load, make_subject
from safetensors.torch import load_file, save_file
from tiny import tiny_config
from torch import nn
from transformers import Llama4ForConditionalGeneration, LlamaConfig
from transformers.core_model_loading import (
    Chunk,
    ConversionOps,
    PermuteForRope,
    WeightConverter,
)

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.conversions import Conversions
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Altered, Piece
from talo_export.models.finding import find_decoder
from talo_export.models.proof import logits_of
from talo_export.models.switching import knocked_out

EXAMPLE = {"input_ids": torch.arange(3, 10)[None], "use_cache": False}


@pytest.mark.parametrize("names", ["older", "newer"])
def test_a_layout_that_stock_loading_renames_is_cut_under_its_own_names(
    names: str, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    model = make_subject("image-text-to-text", "llava", base)
    tensors = load_file(base / "model.safetensors")
    older, newer = "language_model.model.", "model.language_model."
    here, there = (older, newer) if names == "older" else (newer, older)
    save_file(
        {name.replace(there, here): tensor for name, tensor in tensors.items()},
        base / "model.safetensors",
        metadata={"format": "pt"},
    )
    plan = plan_export(base, Knockout(2), checkpoint_anatomy(base))
    assert {edit.tensor for edit in plan.edits} == {
        f"{here}layers.2.self_attn.{part}_proj.weight" for part in "qkvo"
    }
    write_export(plan, tmp_path / "out", base="base")
    found = logits_of(load("image-text-to-text", tmp_path / "out"), EXAMPLE)
    with knocked_out(model, find_decoder(model), Knockout(2)):
        assert torch.equal(found, logits_of(model, EXAMPLE))


def test_llama_4_is_read_also_where_its_forward_fails_behind_the_logits(tmp_path: Path) -> None:
    config = tiny_config("llama4")
    model = Llama4ForConditionalGeneration(config)
    model.save_pretrained(tmp_path / "base")
    anatomy = checkpoint_anatomy(tmp_path / "base")
    assert anatomy.path == "language_model.model.layers"
    assert all(layer.attention and not layer.mixers[0].declined for layer in anatomy.layers)


def test_tensors_that_the_class_does_not_load_are_kept(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make_subject("causal-lm", "deepseek_v3", base)
    tensors = load_file(base / "model.safetensors")
    # DeepSeek-V3 stores its multi-token prediction head as a layer after its last, the 61st.
    head = {
        name.replace("layers.1.", "layers.61."): tensor + 1
        for name, tensor in tensors.items()
        if "layers.1." in name
    }
    save_file(tensors | head, base / "model.safetensors", metadata={"format": "pt"})
    anatomy = checkpoint_anatomy(base)
    assert len(anatomy) == json.loads((base / "config.json").read_text())["num_hidden_layers"]
    write_export(plan_export(base, Knockout(1), anatomy), tmp_path / "out", base="base")
    exported = load_file(tmp_path / "out" / "model.safetensors")
    assert head
    assert all(torch.equal(exported[name], tensor) for name, tensor in head.items())
    load("causal-lm", tmp_path / "out")


def test_what_also_feeds_something_else_stays_and_the_narrow_scope_is_offered(
    tmp_path: Path,
) -> None:
    base = tmp_path / "base"
    make_subject("causal-lm", "hrm_text", base)
    anatomy = checkpoint_anatomy(base)
    with pytest.raises(UsageError, match=r"gqkv_proj.* use --scope o_proj"):
        plan_export(base, Knockout(0), anatomy)
    (edit,) = plan_export(base, Knockout(0, "o_proj"), anatomy).edits
    assert edit.tensor.endswith("o_proj.weight")


@pytest.mark.parametrize("fill", ["uniform", "mean"])
def test_a_fill_that_loading_would_turn_into_another_is_refused(fill: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    make_subject("causal-lm", "mixtral", base)
    anatomy = checkpoint_anatomy(base)
    layer = anatomy.layers[0]
    # As where loading computes on the way.
    unknown = replace(layer, altered=tuple(Altered(one.name) for one in layer.altered))
    anatomy = replace(anatomy, layers=(unknown, *anatomy.layers[1:]))
    with pytest.raises(UsageError, match="stored in another form"):
        plan_export(base, Knockout(0, "mlp", fill), anatomy)  # type: ignore[arg-type]
    assert plan_export(base, Knockout(0, "attention", fill), anatomy).edits  # type: ignore[arg-type]


def test_what_loading_permutes_row_by_row_is_followed_and_what_it_computes_is_not() -> None:
    class Fused(nn.Module):
        config = LlamaConfig(num_attention_heads=2)

        def __init__(self) -> None:
            super().__init__()
            for name, rows in (("q", 8), ("k", 8), ("v", 8)):
                setattr(self, name, nn.Linear(3, rows, device="meta"))

    names = ["q.weight", "k.weight", "v.weight"]
    turned = PermuteForRope(permute_layer_names=["q.weight", "k.weight"])
    splits = WeightConverter(["qkv.weight"], names, operations=[Chunk(0), turned])
    conversions = Conversions(Fused())
    assert conversions.pieces(splits, names, "qkv.weight") == tuple(
        Piece(name, 24, 8) for name in names
    )
    columns = WeightConverter(["qkv.weight"], names, operations=[Chunk(1)])
    assert conversions.pieces(columns, names, "qkv.weight") == ()
    computes = WeightConverter(["q.code"], ["q.weight"], operations=[Computes()])
    assert conversions.pieces(computes, ["q.weight"], "q.code") == ()


class Computes(ConversionOps):
    """Stands for the operations that unpack a quantised tensor."""

    def convert(self, input_dict: Any, *rest: Any, **options: Any) -> Any:
        raise AssertionError("never run: what it does is not known")


def test_a_config_that_claims_more_layers_than_there_are_tensors_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make_subject("causal-lm", "gpt_neox", base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 10**12}))
    with pytest.raises(TaloError, match="more than it has tensors"):
        checkpoint_anatomy(base)
