"""Prove exports of quantised checkpoints with the libraries that make and run them.

    pip install bitsandbytes compressed-tensors optimum gptqmodel
    python tests/checkpoint/prove_with_libraries.py --out examples/architectures/quantised.md

Not part of the test suite, whose own rules of decoding need none of these. A tiny Llama is
quantised by the library, exported, and loaded by plain `from_pretrained`; its logits on the CPU
must be those of the quantised base with the layer's output silenced, to the last bit. gptqmodel
compiles its kernels when they are first used, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig, preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out

GROUP = 32
NOTES = """
What no library here runs on a CPU is proved in the test suite. Fine-grained fp8 and MXFP4 experts
by logits, unpacked by transformers itself (`tests/checkpoint/test_formats_logits.py`). Every
format, ModelOpt's NVFP4 too, by its public rule of decoding (`tests/checkpoint/quantised.py`).
Every GGML type that the `gguf` package decodes, by that package (`tests/checkpoint/test_gguf.py`).

gptqmodel 7.7.0 asks for torch 2.14.1 or newer; it ran beside the older torch named above.
"""
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


def quantise_gptqmodel(plain: Path, base: Path, method: str) -> None:
    """Round to nearest in groups of 32, packed by the library's own layers for the CPU."""
    kind = {"gptq": TorchLinear, "awq": AwqTorchLinear}[method]
    tensors = {}
    for name, weight in AutoModelForCausalLM.from_pretrained(plain).state_dict().items():
        if not name.endswith("proj.weight"):
            tensors[name] = weight.half()
            continue
        groups = weight.float().reshape(len(weight), -1, GROUP)
        low, high = groups.amin(-1), groups.amax(-1)
        scale = (high - low) / 15
        layer = kind(
            bits=4,
            group_size=GROUP,
            sym=False,
            desc_act=False,
            in_features=weight.shape[1],
            out_features=weight.shape[0],
            register_buffers=True,
        )
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight.data = weight.float()
        order = (torch.arange(weight.shape[1]) // GROUP).int()
        layer.pack(linear, scale, (-low / scale).round(), order)
        for part, value in layer.state_dict().items():
            tensors[name.removesuffix("weight") + part] = value.contiguous()
    shutil.copytree(plain, base)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    declared = {"bits": 4, "group_size": GROUP, "desc_act": False, "sym": False}
    if method == "awq":
        declared |= {"version": "gemm", "zero_point": True}
    else:
        declared |= {"checkpoint_format": "gptq_v2"}
    config = json.loads((base / "config.json").read_text()) | {"dtype": "float16"}
    config["quantization_config"] = declared | {"quant_method": method}
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


@dataclass(frozen=True)
class Proof:
    """One format, proved. An export that is not equal to the last bit raises instead."""

    library: str
    kind: str
    cut: str
    """Components that were filled, and the byte they were filled with."""
    moved: float
    """The largest difference of a logit to the base's."""


def prove(library: str, kind: str, base: Path, decoder: Decoder) -> Proof:
    proof = prove_cut(library, kind, base, decoder, Knockout(1))
    prove_cut(library, f"{kind}, a head", base, decoder, Knockout(1, heads=((2,),)))
    return proof


def prove_cut(library: str, kind: str, base: Path, decoder: Decoder, knockout: Knockout) -> Proof:
    out = base.with_name(f"{base.name}-out-{knockout.slug}")
    plan = plan_export(base, knockout, decoder)
    write_export(plan, out, base="base")
    assert verify_files(out, base).ok
    original = AutoModelForCausalLM.from_pretrained(base, device_map="cpu", dtype="auto")
    exported, report = AutoModelForCausalLM.from_pretrained(
        out, device_map="cpu", dtype="auto", output_loading_info=True
    )
    assert not any(report.values()), report
    with torch.no_grad():
        untouched, found = original(IDS).logits, exported(IDS).logits
        with knocked_out(original, find_decoder(original), knockout):
            expected = original(IDS).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, untouched)
    cut = sorted({f"`{edit.tensor.split('_proj')[1]}` {edit.pattern.hex()}" for edit in plan.edits})
    moved = (found - untouched).abs().max().item()
    print(f"{library} {kind}: {', '.join(cut)}", flush=True)
    return Proof(library, kind, ", ".join(cut), moved)


def table(proofs: list[Proof]) -> str:
    """A Markdown page with the versions that were there."""
    versions = f"torch {version('torch')} and transformers {version('transformers')}"
    lines = [
        "# Quantised storage, proved with the libraries that make and run it",
        "",
        "Written by `python tests/checkpoint/prove_with_libraries.py --out PATH` with",
        f"{versions}, on a CPU. A tiny Llama is quantised and packed",
        "by the library, one layer's attention is exported, and the result is loaded by plain",
        "`from_pretrained`: no key missing, unexpected or mismatched, each logit equal to the last",
        "bit to that of the quantised base with the layer's output silenced.",
        "",
        "| library | format | bytes written | logits to the knockout's | to the base's |",
        "|---|---|---|---:|---:|",
    ]
    lines += [
        f"| {one.library} {version(one.library)} | {one.kind} | {one.cut} | 0.0 | {one.moved:.3f} |"
        for one in proofs
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="a Markdown page to write")
    arguments = parser.parse_args()
    proofs = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = tiny()
        model.save_pretrained(root / "plain")
        decoder = find_decoder(model)
        for number, (name, how) in enumerate(BITSANDBYTES.items()):
            quantise_bitsandbytes(root / "plain", root / f"b{number}", how)
            proofs.append(prove("bitsandbytes", name, root / f"b{number}", decoder))
        for number, (preset, layout) in enumerate(COMPRESSED_TENSORS.items()):
            quantise_compressed_tensors(root / "plain", root / f"c{number}", preset, layout)
            kind = f"{preset} ({layout})"
            proofs.append(prove("compressed-tensors", kind, root / f"c{number}", decoder))
        for method in ("gptq", "awq"):
            quantise_gptqmodel(root / "plain", root / method, method)
            kind = f"{method.upper()}, 4 bit"
            proofs.append(prove("gptqmodel", kind, root / method, decoder))
    if arguments.out:
        arguments.out.write_text(table(proofs) + NOTES)


if __name__ == "__main__":
    main()
