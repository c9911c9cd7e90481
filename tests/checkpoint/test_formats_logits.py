"""Quantised checkpoints that stock transformers runs on a CPU: the export computes the knockout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tiny_bases import tiny_llama
from transformers import (
    AutoModelForCausalLM,
    FineGrainedFP8Config,
    GptOssConfig,
    GptOssForCausalLM,
    Mxfp4Config,
    PreTrainedModel,
)
from transformers.utils.quantization_config import QuantizationConfigMixin

from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out

IDS = torch.tensor([[3, 9, 27, 17, 51, 25]])


def declare(directory: Path, quantization: dict[str, object]) -> None:
    path = directory / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"quantization_config": quantization})
    )


def load(directory: Path, quantization: QuantizationConfigMixin) -> PreTrainedModel:
    model, report = AutoModelForCausalLM.from_pretrained(
        directory, quantization_config=quantization, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return model.eval()


def assert_the_export_computes_the_knockout(
    base: Path, out: Path, decoder: Decoder, knockout: Knockout,
    quantization: QuantizationConfigMixin,
) -> None:  # fmt: skip
    write_export(plan_export(base, knockout, decoder), out, base="base")
    exported, live = load(out, quantization), load(base, quantization)
    with torch.no_grad():
        found, untouched = exported(IDS).logits, live(IDS).logits
        with knocked_out(live, find_decoder(live), knockout):
            expected = live(IDS).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, untouched)


def test_fp8_with_block_scales(tmp_path: Path) -> None:
    model, base = tiny_llama(torch.bfloat16), tmp_path / "base"
    model.save_pretrained(base)
    tensors = load_file(base / "model.safetensors")
    for name in [name for name in tensors if name.endswith("proj.weight")]:
        rows, columns = (size // 16 for size in tensors[name].shape)
        tensors[name] = (tensors[name].float() * 100).to(torch.float8_e4m3fn)
        tensors[name + "_scale_inv"] = torch.full((rows, columns), 0.01)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    declare(base, {"quant_method": "fp8", "weight_block_size": [16, 16]})
    for number, knockout in enumerate((Knockout(1), Knockout(1, heads=((0, 3),)))):
        assert_the_export_computes_the_knockout(
            base,
            tmp_path / str(number),
            find_decoder(model),
            knockout,
            FineGrainedFP8Config(weight_block_size=(16, 16), dequantize=True),
        )


def test_mxfp4_experts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = GptOssConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=2,
        num_experts_per_tok=1,
    )
    model, base = GptOssForCausalLM(config).to(torch.bfloat16), tmp_path / "base"
    model.save_pretrained(base)
    tensors = load_file(base / "model.safetensors")
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, inputs, outputs = tensors.pop(name).shape
        shape = (experts, outputs, inputs // 32, 16)
        tensors[name + "_blocks"] = torch.randint(0, 256, shape).to(torch.uint8)
        tensors[name + "_scales"] = torch.full(shape[:-1], 120, dtype=torch.uint8)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    declare(base, {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]})
    cuts = (Knockout(1), Knockout(1, "mlp"), Knockout(0, also=(1,), heads=((0,), (1, 2))))
    for number, cut in enumerate(cuts):
        out = tmp_path / str(number)
        assert_the_export_computes_the_knockout(
            base, out, find_decoder(model), cut, Mxfp4Config(dequantize=True)
        )
