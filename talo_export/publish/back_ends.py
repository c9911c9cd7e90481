"""Which optional abilities work on this machine: tried where that is quick, else looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import distributed
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True)
class BackEnd:
    """One ability. `install` says how to get it where it does not work and can be had."""

    name: str
    purpose: str
    works: bool
    install: str | None = None


def back_ends() -> tuple[BackEnd, ...]:
    """All that talo-export can make use of, in the order in which a user meets them."""
    cuda = torch.cuda.is_available()
    return (
        BackEnd("sdpa", "fast attention of torch itself", _tried(_attends)),
        BackEnd("gloo", "several processes or machines", _has_gloo()),
        BackEnd("nccl", "several NVIDIA GPUs", cuda and distributed.is_nccl_available()),
        package("flash-attn", "flash_attn", "faster attention on NVIDIA GPUs", needs_cuda=True),
        package("bitsandbytes", "bitsandbytes", "bases quantised by bitsandbytes"),
        package("gguf", "gguf", "bases stored as GGUF", install="pip install 'talo-export[gguf]'"),
        package("hf-xet", "hf_xet", "fast, resumable uploads and downloads of large files"),
    )


def package(
    name: str, module: str, purpose: str, *, install: str | None = None, needs_cuda: bool = False
) -> BackEnd:
    """An ability that comes with a package, which is looked for and not imported."""
    there = find_spec(module) is not None
    possible = torch.cuda.is_available() or not needs_cuda
    how = (install or f"pip install {name}") if possible and not there else None
    return BackEnd(name, purpose, there and possible, how)


def _tried(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except (RuntimeError, NotImplementedError):
        return False


def _attends() -> bool:
    """One query on one key gives back that key's value."""
    value = torch.arange(8.0).view(1, 1, 1, 8)
    return bool(torch.equal(scaled_dot_product_attention(value, value, value), value))


def _has_gloo() -> bool:
    return distributed.is_available() and distributed.is_gloo_available()
