"""When the memory is not enough."""

from __future__ import annotations

import torch

from talo_export.errors import TaloError
from talo_export.probing.encoding import Encoded


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on whatever device."""
    said = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "out of memory" in said or "can't allocate memory" in said
    )


def too_large(encoded: Encoded) -> TaloError:
    """The error for an item that does not fit even by itself."""
    return TaloError(
        f"item {encoded.item.id!r} with its {encoded.length} tokens does not fit the memory even "
        "alone: use --device-map auto, --dtype bfloat16 or a larger device."
    )
