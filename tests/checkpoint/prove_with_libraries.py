"""Prove exports of quantised checkpoints with the libraries that make and run them.

    pip install bitsandbytes compressed-tensors
    python tests/checkpoint/prove_with_libraries.py

Not part of the test suite, whose own rules of decoding need none of these. A tiny Llama is
quantised by the library, exported, and loaded by plain `from_pretrained`; its logits on the CPU
must be those of the quantised base with the layer's output silenced, to the last bit.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig, preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, find_decoder
from talo_export.models.interventions import silence_rows

IDS = torch.tensor([[1, 5, 9, 2]])
BITSANDBYTES = {
    "NF4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "NF4, double quantisation": BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    ),
    "FP4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}
COMPRESSED_TENSORS = {
    "W4A16": "pack-quantized",
    "W8A16": "pack-quantized",
    "W8A8": "int-quantized",
    "FP8_DYNAMIC": "float-quantized",
    "NVFP4A16": "nvfp4-pack-quantized",
    "MXFP4A16": "mxfp4-pack-quantized",
}


def tiny() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).to(torch.bfloat16)


def quantise_bitsandbytes(plain: Path, base: Path, how: BitsAndBytesConfig) -> None:
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=how, device_map="cpu")
    model.save_pretrained(base)


def quantise_compressed_tensors(plain: Path, base: Path, preset: str, layout: str) -> None:
    """Round to nearest, with the library's own scales and packing."""
    scheme = preset_name_to_scheme(preset, ["Linear"])
    scheme.format = layout
    compressor = BaseCompressor.get_value_from_registry(layout)
    tensors = {}
    for name, weight in AutoModelForCausalLM.from_pretrained(plain).state_dict().items():
        if not name.endswith("proj.weight"):
            tensors[name] = weight.clone()
            continue
        packed = compressor.compress({"weight": weight, **scales(weight, scheme.weights)}, scheme)
        for part, value in packed.items():
            tensors[name.removesuffix("weight") + part] = value.contiguous()
    shutil.copytree(plain, base)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    declared = QuantizationConfig(
        config_groups={"group_0": scheme},
        format=layout,
        quantization_status="compressed",
        ignore=["lm_head"],
    ).model_dump(mode="json")
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = declared | {"quant_method": "compressed-tensors"}
    (base / "config.json").write_text(json.dumps(config))


def scales(weight: torch.Tensor, arguments: Any) -> dict[str, torch.Tensor]:
    """The library's scales for weights rounded to nearest."""
    values, strategy = weight.float(), str(arguments.strategy)
    if "group" in strategy:
        groups = values.reshape(len(values), -1, arguments.group_size)
        low, high = groups.amin(-1), groups.amax(-1)
    else:
        low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
    if "tensor_group" in strategy:
        overall = generate_gparam(values.amin().reshape(1), values.amax().reshape(1))
        scale, _ = calculate_qparams(low, high, arguments, global_scale=overall)
        return {"weight_scale": scale, "weight_global_scale": overall}
    scale, _ = calculate_qparams(low, high, arguments)
    is_fp4 = "float" in str(arguments.type) and arguments.num_bits == 4
    return {"weight_scale": scale if is_fp4 else scale.bfloat16()}


def prove(name: str, base: Path, decoder: Decoder) -> None:
    out = base.with_name(base.name + "-out")
    plan = plan_export(base, Knockout(1), decoder)
    write_export(plan, out, base="base")
    assert verify_files(out, base).ok
    original = AutoModelForCausalLM.from_pretrained(base, device_map="cpu", dtype="auto")
    exported, report = AutoModelForCausalLM.from_pretrained(
        out, device_map="cpu", dtype="auto", output_loading_info=True
    )
    assert not any(report.values()), report
    with torch.no_grad():
        untouched, found = original(IDS).logits, exported(IDS).logits
        rows = {1: torch.ones(1, dtype=torch.bool)}
        with silence_rows(original, find_decoder(original), rows):
            expected = original(IDS).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, untouched)
    moved = (found - untouched).abs().max().item()
    cut = sorted(
        {f"{edit.tensor.split('_proj')[1]} := {edit.pattern.hex()}" for edit in plan.edits}
    )
    print(f"{name}: {', '.join(cut)}; knockout 0.0 apart, base {moved:.3f} apart")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = tiny()
        model.save_pretrained(root / "plain")
        decoder = find_decoder(model)
        for number, (name, how) in enumerate(BITSANDBYTES.items()):
            quantise_bitsandbytes(root / "plain", root / f"b{number}", how)
            prove(f"bitsandbytes {name}", root / f"b{number}", decoder)
        for number, (preset, layout) in enumerate(COMPRESSED_TENSORS.items()):
            quantise_compressed_tensors(root / "plain", root / f"c{number}", preset, layout)
            prove(f"compressed-tensors {preset}", root / f"c{number}", decoder)


if __name__ == "__main__":
    main()
