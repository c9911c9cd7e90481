"""How many tokens run through a layer at once: measured on the first item, before any shared pass.

What one layer makes for one row of one prompt is counted while the plain way answers it; half of
the free memory may hold that many times over. The number is cut down to a power of two and to
`MOST_TOKENS`, beyond which nothing is gained: machines with room enough cut a sweep alike, to the
last bit, and only one that is short of memory cuts it finer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from talo_export.errors import NotEnoughMemoryError
from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import Encoded
from talo_export.probing.forwards import Forward, replaced
from talo_export.wording import count

MOST_TOKENS = {"cpu": 2048, "cuda": 65536}
"""By type of device, over all rows: enough to keep it busy. On a CPU more is slower: the states of
2,048 tokens stay in its caches and are written where others just were, larger ones are paged in."""

MOST_TOKENS_OFFLOADED = 65536
"""Where weights are brought in for each call: that costs more than a cache would spare."""


class Widths:
    """How many variants of an item run at once, for every kind of item."""

    def __init__(self, loaded: LoadedModel) -> None:
        middle = loaded.decoder.layers[len(loaded.decoder) // 2]
        self._layer = loaded.model.get_submodule(middle.path)
        self._model = loaded.model
        self._device = loaded.device
        self._tokens: dict[Hashable, int] = {}
        self._one = False

    @contextmanager
    def measured(self, kind: Hashable, encoded: Encoded) -> Iterator[None]:
        """Inside, an item of this kind is answered the plain way: what a layer takes is counted."""
        with layer_bytes(self._layer) as made:
            yield
        most = most_tokens(self._model, self._device)
        self._tokens[kind] = fitting_tokens(max(made) / encoded.length, self._device, most)

    def of(self, kind: Hashable, encoded: Encoded, variants: int) -> int:
        """The number for this item of a kind that was measured, `variants` at most."""
        if self._one:
            return 1
        return max(1, min(variants, self._tokens[kind] // encoded.length))

    def narrow_to_one(self) -> None:
        """From now on one at a time, of whatever kind."""
        self._one = True

    def shrink(self, kind: Hashable, encoded: Encoded, width: int, error: BaseException) -> str:
        """Half of `width` from now on, and a note of it.

        For prompts of this kind: what else the model does keeps its own measure. Raises
        NotEnoughMemoryError where there is no half.
        """
        if width == 1:
            raise too_large(encoded) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._tokens[kind] = width // 2 * encoded.length
        return f"out of memory: going on with {count(width // 2, 'variant')} at a time"


class Made(TorchDispatchMode):
    """Counts the bytes of the storages that operations give; one that is used again counts once."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[int, int] = {}

    @property
    def bytes(self) -> int:
        return sum(self._seen.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor) and leaf.device.type != "meta":
                storage = leaf.untyped_storage()
                size = max(storage.nbytes(), self._seen.get(storage.data_ptr(), 0))
                self._seen[storage.data_ptr()] = size
        return output


@contextmanager
def layer_bytes(layer: nn.Module) -> Iterator[list[int]]:
    """Inside, every call of a layer appends the bytes it made."""
    sizes: list[int] = []

    def wrap(forward: Forward) -> Forward:
        def counted(*args: Any, **kwargs: Any) -> Any:
            with Made() as made:
                output = forward(*args, **kwargs)
            sizes.append(made.bytes)
            return output

        return counted

    with replaced(layer, "forward", wrap):
        yield sizes


def most_tokens(model: nn.Module, device: torch.device) -> int:
    """Tokens at once beyond which nothing is gained."""
    if any(parameter.device.type == "meta" for parameter in model.parameters()):
        return MOST_TOKENS_OFFLOADED
    return MOST_TOKENS.get(device.type, MOST_TOKENS["cpu"])


def fitting_tokens(bytes_per_token: float, device: torch.device, most: int) -> int:
    """Tokens at once: a power of two that half of the free memory holds, `most` at most."""
    room = int(free_bytes(device) / 2 / max(bytes_per_token, 1.0))
    return min(most, 1 << (room.bit_length() - 1)) if room else 1


def free_bytes(device: torch.device) -> int:
    """What the device, or the host, has left."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def too_large(encoded: Encoded) -> NotEnoughMemoryError:
    """The error for an item that does not fit even by itself."""
    return NotEnoughMemoryError(
        f"item {encoded.item.id!r} with its {encoded.length} tokens does not fit the memory even "
        "alone: use --device-map auto, --dtype bfloat16 or a larger device."
    )
