"""In which number format a model computes where that is left to us.

A processor without instructions for bfloat16 or float16 emulates them, several times slower than
it computes in float32: there, and only there, a model does not compute in the format it is
stored in.
"""

from __future__ import annotations

import time
from functools import cache

import psutil  # type: ignore[import-untyped]
import torch
from safetensors import safe_open
from torch import nn

from talo_export.models.configs import read_config
from talo_export.models.devices import pick_device
from talo_export.models.reference import ResolvedModel, follow_adapter, resolve

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The formats as `--dtype` spells them."""
INSTRUCTIONS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "avx10_2"),
    torch.float16: ("avx512_fp16", "amx_fp16", "avx10_2"),
}
"""What torch calls the instructions that multiply in a format, on processors with x86's."""
STORED = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
"""The formats as safetensors spells them."""
FITS = 0.8
"""Of all memory: float32 takes twice what is stored, and must leave room for the work."""


def settled_dtype(
    dtype: str,
    reference: str,
    *,
    device: str = "auto",
    device_map: str | None = None,
    trust_remote_code: bool = False,
) -> str:
    """`float32` where `auto` would compute in a format that this processor emulates, else `dtype`.

    A model that is spread over devices, stored quantised, or too large for the memory in float32
    stays as it is. Raises TaloError where the model cannot be found or read.
    """
    if dtype != "auto" or device_map is not None or pick_device(device).type != "cpu":
        return dtype
    resolved = resolve(follow_adapter(reference)[0])
    if resolved.gguf_file or not _emulated(stored_dtype(resolved, trust_remote_code)):
        return dtype
    stored = sum(path.stat().st_size for path in resolved.directory.glob("**/*.safetensors"))
    return "float32" if 2 * stored < FITS * psutil.virtual_memory().total else dtype


def stored_dtype(resolved: ResolvedModel, trust_remote_code: bool = False) -> torch.dtype | None:
    """The format that `dtype="auto"` computes in: the config's, else the first weight's.

    None where the model is stored quantised.
    """
    config = read_config(resolved, trust_remote_code)
    if getattr(config, "quantization_config", None) is not None:
        return None
    own = config.dtype or config.get_text_config().dtype
    if own is not None:
        return DTYPES.get(str(own).removeprefix("torch."))
    for path in sorted(resolved.directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                known = STORED.get(file.get_slice(name).get_dtype())
                if known is not None:
                    return DTYPES[known]
    return None


def _emulated(dtype: torch.dtype | None) -> bool:
    return dtype in INSTRUCTIONS and not is_native(dtype)


@cache
def is_native(dtype: torch.dtype) -> bool:
    """Whether this processor multiplies in `dtype` by itself: as torch says, else as measured."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities.get("architecture") == "x86_64":
        return any(capabilities.get(name, False) for name in INSTRUCTIONS[dtype])
    return seconds_of(dtype) < seconds_of(torch.float32)


def seconds_of(dtype: torch.dtype) -> float:
    """The best of three times for a linear layer of 1,024 on 64 tokens; some 10 ms in all."""
    hidden, weight = torch.ones(64, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    best = float("inf")
    with torch.inference_mode():
        nn.functional.linear(hidden, weight)
        for _ in range(3):
            started = time.perf_counter()
            nn.functional.linear(hidden, weight)
            best = min(best, time.perf_counter() - started)
    return best
