"""How many bytes of tensors are alive, counted operation by operation.

Resident memory also holds libraries, allocator slack and freed pages; what a model needs is the
storage of its tensors at the worst moment. This counts exactly that, on real tensors and on fake
ones that have shapes but no memory, so that the same code can be measured and predicted.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts storages made by operations inside the block, and those given to `hold`.

    `now` and `peak` are bytes. What a kernel allocates for itself while it runs is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known: set[int] = set()

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that were made before the block (weights), each storage once."""
        for tensor in tensors:
            self._count(tensor)

    def forget_peak(self) -> None:
        """Let the peak start again from what is alive now."""
        self.peak = self.now

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        if tensor.layout != torch.strided:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        # The storage object lives as long as any tensor on it, those autograd keeps included.
        weakref.finalize(storage, self._gone, key, size).atexit = False

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
