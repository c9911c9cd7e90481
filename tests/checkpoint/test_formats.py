"""In every storage format the filled projections decode to exactly zero, and no other changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from quantised import STORAGES, Storage
from safetensors.torch import load_file, save_file
from tiny_bases import tiny_llama
from torch import Tensor

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.formats import parameter_stem
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer, Mixer

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def module(layer: int, projection: str) -> str:
    return f"model.layers.{layer}.self_attn.{projection}"


def decoder(suffix: str, layers: int = 2) -> Decoder:
    """Names as they are in memory: `....o_proj.weight` and `....o_proj.bias`."""
    return Decoder(
        "model.layers",
        tuple(
            Layer(
                k,
                f"model.layers.{k}",
                (
                    Mixer(
                        "self-attention",
                        f"model.layers.{k}.self_attn",
                        output=(module(k, "o_proj") + suffix, module(k, "o_proj") + ".bias"),
                        inputs=tuple(module(k, name) + suffix for name in PROJECTIONS[:3]),
                    ),
                ),
            )
            for k in range(layers)
        ),
    )


def quantised_base(directory: Path, storage: Storage) -> Path:
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    for layer in range(2):
        for projection in PROJECTIONS:
            for part, tensor in storage.encode(generator).items():
                tensors[module(layer, projection) + part] = tensor
        tensors[module(layer, "o_proj") + ".bias"] = torch.ones(4)
        tensors[module(layer, "k_proj") + ".bias"] = torch.ones(4)  # Unknown to the decoder.
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = torch.ones(8)
    directory.mkdir()
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps({"quantization_config": storage.declared}))
    return directory


def parts(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(name): value
        for key, value in tensors.items()
        if key.startswith(name) and key != name + ".bias"
    }


@pytest.mark.parametrize("name", STORAGES)
def test_the_layers_projections_decode_to_zero_and_the_others_to_what_they_were(
    tmp_path: Path, name: str
) -> None:
    storage = STORAGES[name]
    base = quantised_base(tmp_path / "base", storage)
    plan = plan_export(base, Knockout(1), decoder(storage.suffix))
    write_export(plan, tmp_path / "out", base="base")
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    for layer in range(2):
        for projection in PROJECTIONS:
            old = storage.decode(parts(before, module(layer, projection)))
            new = storage.decode(parts(after, module(layer, projection)))
            assert old.abs().max() > 0
            assert torch.equal(new, torch.zeros_like(old) if layer == 1 else old)
    for projection in ("o_proj", "k_proj"):
        assert not after[module(1, projection) + ".bias"].any()
        assert after[module(0, projection) + ".bias"].all()
    assert verify_files(tmp_path / "out", base).ok


@pytest.mark.parametrize("name", STORAGES)
def test_scales_tables_and_offsets_that_need_not_change_stay(tmp_path: Path, name: str) -> None:
    storage = STORAGES[name]
    base = quantised_base(tmp_path / "base", storage)
    plan = plan_export(base, Knockout(1), decoder(storage.suffix))
    for edit in plan.edits:
        assert not edit.tensor.endswith(storage.kept), edit.tensor


@pytest.mark.parametrize("name", STORAGES)
@pytest.mark.parametrize("fill", ["uniform", "mean"])
def test_other_fills_are_refused(tmp_path: Path, name: str, fill: str) -> None:
    storage = STORAGES[name]
    base = quantised_base(tmp_path / "base", storage)
    with pytest.raises(UsageError, match="fill"):
        plan_export(base, Knockout(1, "attention", fill), decoder(storage.suffix))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in STORAGES if name != "fp8"])
def test_a_packing_the_config_does_not_declare_is_refused(tmp_path: Path, name: str) -> None:
    storage = STORAGES[name]
    base = quantised_base(tmp_path / "base", storage)
    (base / "config.json").write_text("{}")
    with pytest.raises(TaloError, match="not known"):
        plan_export(base, Knockout(1), decoder(storage.suffix))


@pytest.mark.parametrize("name", STORAGES)
def test_a_component_nobody_knows_is_refused_by_name(tmp_path: Path, name: str) -> None:
    storage = STORAGES[name]
    base = quantised_base(tmp_path / "base", storage)
    tensors = load_file(base / "model.safetensors")
    tensors[module(1, "v_proj") + ".rotation"] = torch.ones(2)
    save_file(tensors, base / "model.safetensors")
    with pytest.raises(TaloError, match="rotation"):
        plan_export(base, Knockout(1), decoder(storage.suffix))


@pytest.mark.parametrize(
    "declared", [{"quant_method": "aqlm"}, {"quant_method": "future"}, {"bits": 4}, "mystery"]
)
def test_an_unknown_method_is_refused_by_name(tmp_path: Path, declared: Any) -> None:
    base = quantised_base(tmp_path / "base", STORAGES["gptq"])
    (base / "config.json").write_text(json.dumps({"quantization_config": declared}))
    named = declared.get("quant_method") if isinstance(declared, dict) else declared
    with pytest.raises(TaloError, match=str(named)):
        plan_export(base, Knockout(1), decoder(".weight"))


@pytest.mark.parametrize("name", ["nf4", "gptq", "mxfp4"])
def test_a_packed_checkpoint_of_a_real_architecture_is_planned_from_its_files(
    tmp_path: Path, name: str
) -> None:
    storage, base = STORAGES[name], tmp_path / "base"
    tiny_llama().save_pretrained(base)
    tensors = load_file(base / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for key in [key for key in tensors if "self_attn" in key]:
        del tensors[key]
        for part, tensor in storage.encode(generator).items():
            tensors[key.removesuffix(".weight") + part] = tensor
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    declared = {"quantization_config": storage.declared}
    (base / "config.json").write_text(json.dumps(config | declared))
    plan = plan_export(base, Knockout(1), checkpoint_anatomy(base))
    stems = {parameter_stem(edit.tensor) for edit in plan.edits}
    assert stems == {module(1, projection) for projection in PROJECTIONS}


def test_a_module_left_unquantised_is_filled_as_plain(tmp_path: Path) -> None:
    base = quantised_base(tmp_path / "base", STORAGES["gptq"])
    tensors = load_file(base / "model.safetensors")
    for part in parts(tensors, module(1, "o_proj")):
        del tensors[module(1, "o_proj") + part]
    tensors[module(1, "o_proj") + ".weight"] = torch.randn(4, 4).bfloat16()
    save_file(tensors, base / "model.safetensors")
    write_export(plan_export(base, Knockout(1), decoder(".weight")), tmp_path / "out", base="b")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert not after[module(1, "o_proj") + ".weight"].any()


def test_a_layers_missing_tensor_is_an_error(tmp_path: Path) -> None:
    base = quantised_base(tmp_path / "base", STORAGES["fp8"])
    tensors = load_file(base / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "1.self_attn.k_proj" not in k},
              base / "model.safetensors")  # fmt: skip
    with pytest.raises(TaloError, match="k_proj"):
        plan_export(base, Knockout(1), decoder(".weight"))
