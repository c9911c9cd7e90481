"""Prove exports of quantised checkpoints with the libraries that make and run them.

    pip install bitsandbytes compressed-tensors optimum gptqmodel
    python tests/checkpoint/prove_with_libraries.py --out examples/architectures/quantised.md

Not part of the test suite, whose own rules of decoding need none of these. A tiny Llama is
quantised by the library, exported, and loaded by plain `from_pretrained`; its logits on the CPU
must be those of the quantised base with the layer's output, or one head's, silenced, to the last
bit. gptqmodel compiles its kernels when they are first used, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass, replace
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
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out

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
    "NF4, stored as bfloat16": BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_quant_storage="bfloat16"
    ),
    "int8": BitsAndBytesConfig(load_in_8bit=True),
}
COMPRESSED_TENSORS = {
    "W3A16": "pack-quantized",
    "W4A16": "pack-quantized",
    "W8A16": "pack-quantized",
    "W8A8": "int-quantized",
    "FP8_DYNAMIC": "float-quantized",
    "NVFP4A16": "nvfp4-pack-quantized",
    "MXFP4A16": "mxfp4-pack-quantized",
    "MXFP6A16": "mxfp6-pack-quantized",
    "MXFP8A16": "mxfp8-quantized",
}
GPTQMODEL = {
    "GPTQ, groups of 32": ("gptq", 32, False),
    "GPTQ, groups of 128": ("gptq", 128, False),
    "GPTQ, groups of 128, symmetric": ("gptq", 128, True),
    "GPTQ, groups of 32, symmetric, act-order": ("gptq", 32, True),
    "GPTQ, groups of 32, act-order": ("gptq", 32, False),
    "AWQ, groups of 32": ("awq", 32, False),
    "AWQ, groups of 128": ("awq", 128, False),
}
"""How to round: the method, inputs to a scale, whether 8 is zero everywhere."""


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


def quantise_gptqmodel(
    plain: Path, base: Path, method: str, size: int, sym: bool, act_order: bool
) -> None:
    """Round to nearest, packed by the library's own layers for the CPU."""
    kind = {"gptq": TorchLinear, "awq": AwqTorchLinear}[method]
    form = {"bits": 4, "group_size": size, "sym": sym, "desc_act": act_order}
    tensors = {}
    for name, weight in AutoModelForCausalLM.from_pretrained(plain).state_dict().items():
        if not name.endswith("proj.weight"):
            tensors[name] = weight.half()
            continue
        columns = torch.arange(weight.shape[1])
        places = columns.flip(0) * 5 % len(columns) if act_order else columns
        groups = weight.float()[:, places.argsort()].reshape(len(weight), -1, size)
        low, high = groups.amin(-1), groups.amax(-1)
        scale = groups.abs().amax(-1) / 7 if sym else (high - low) / 15
        zero = torch.full_like(scale, 8) if sym else (-low / scale).round()
        rows, inputs = weight.shape
        layer = kind(**form, in_features=inputs, out_features=rows, register_buffers=True)
        linear = torch.nn.Linear(inputs, rows, bias=False)
        linear.weight.data = weight.float()
        layer.pack(linear, scale, zero, (places // size).int())
        for part, value in layer.state_dict().items():
            # The first edition, which symmetric checkpoints are of, stores zero points less one.
            is_less = sym and part == "qzeros"
            value = value - 0x11111111 if is_less else value
            tensors[name.removesuffix("weight") + part] = value.contiguous()
    shutil.copytree(plain, base)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    if method == "awq":
        form |= {"version": "gemm", "zero_point": True}
    else:
        form |= {"checkpoint_format": "gptq" if sym else "gptq_v2"}
    config = json.loads((base / "config.json").read_text()) | {"dtype": "float16"}
    config["quantization_config"] = form | {"quant_method": method}
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
    is_mx = "float" in str(arguments.type) and "group" in strategy
    return {"weight_scale": scale if is_mx else scale.bfloat16()}


@dataclass(frozen=True)
class Proof:
    """One format, proved. An export that is not equal to the last bit raises instead."""

    library: str
    kind: str
    cut: str
    """Components that were filled, and the byte they were filled with."""
    moved: float
    """The largest difference of a logit to the base's."""
    head: str = ""
    """As `cut` for one head, or how it is stored where that is refused."""


def prove(library: str, kind: str, base: Path, decoder: Decoder) -> Proof:
    proof = prove_cut(library, kind, base, decoder, Knockout(1))
    try:
        head = prove_cut(library, f"{kind}, a head", base, decoder, Knockout(1, heads=((2,),))).cut
    except TaloError as refusal:
        head = str(refusal).split(" is stored as ")[1].split(", in which no one byte ")[0]
        head = f"refused: {head}"
        print(f"{library} {kind}, a head: {refusal}", flush=True)
    return replace(proof, head=head)


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
        "by the library, one layer's attention is exported, or one of its four heads, and the",
        "result is loaded by plain `from_pretrained`: no key missing, unexpected or mismatched,",
        "each logit equal to the last bit to that of the quantised base with the layer's or the",
        "head's output silenced. A head reads 32 inputs of the output projection; it is refused",
        "where no one byte, repeated, is zero for these alone.",
        "",
        "| library | format | layer: bytes | head: bytes | logits to the knockout's | the base's |",
        "|---|---|---|---|---:|---:|",
    ]
    lines += [
        f"| {one.library} {version(one.library)} | {one.kind} | {one.cut} | {one.head} "
        f"| 0.0 | {one.moved:.3f} |"
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
        for number, (kind, (method, size, sym)) in enumerate(GPTQMODEL.items()):
            base = root / f"g{number}"
            quantise_gptqmodel(root / "plain", base, method, size, sym, "act-order" in kind)
            proofs.append(prove("gptqmodel", kind, base, decoder))
    if arguments.out:
        arguments.out.write_text(table(proofs) + NOTES)


if __name__ == "__main__":
    main()
