"""Which device a model goes to."""

from __future__ import annotations

import os

import torch

from talo_export.errors import UsageError


def pick_device(device: str) -> torch.device:
    """`auto` is the first of cuda, mps, cpu that is there. Raises UsageError for an absent one."""
    if device == "auto":
        if torch.cuda.is_available():
            # A launcher of several processes on one host gives each its own number.
            mine = int(os.environ.get("LOCAL_RANK", "0"))
            return torch.device("cuda", mine % torch.cuda.device_count())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"device {device!r} is none of auto, cpu, cuda, cuda:N, mps") from None
    there = {
        "cpu": True,
        "cuda": (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(chosen.type, False):
        raise UsageError(f"device {device!r} is not on this machine: use --device auto or cpu")
    return chosen
