"""When the memory is not enough."""

from __future__ import annotations

from talo_export.errors import NotEnoughMemoryError
from talo_export.probing.encoding import Encoded


def too_large(encoded: Encoded) -> NotEnoughMemoryError:
    """The error for an item that does not fit even by itself."""
    return NotEnoughMemoryError(
        f"item {encoded.item.id!r} with its {encoded.length} tokens does not fit the memory even "
        "alone: use --device-map auto, --dtype bfloat16 or a larger device."
    )
