"""Which attention head stands where, on the way from an attention to the matrix that reads it.

What an attention puts out gets a shadow that has values: the number of the head in every place.
The operations that follow are done on the shadow too, each other operand being ones, so that
however the model lays its heads out, turns them or gates them, the inputs of the projection show
whose they are. Numbers that did not come through whole tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

EXACT = 1e-3
"""What a norm in 32 bits may change of the ratio of two head numbers."""


class HeadNumbers:
    """The shadows of one layer's tensors, for as long as the layer runs."""

    def __init__(self) -> None:
        self._shadows: dict[int, tuple[Tensor, Tensor]] = {}
        self._count = 0

    def forget(self) -> None:
        """Let go of all shadows."""
        self._shadows.clear()

    def start(self, weights: Tensor, output: Tensor) -> None:
        """Weights (heads, positions, positions) of a batch of one gave (heads, positions, size)."""
        if weights.dim() != 3 or output.dim() != 3 or weights.shape[1] != weights.shape[2]:
            return  # Heads that share keys and values may be folded into the positions.
        self._count = output.shape[0]
        numbers = torch.arange(1, self._count + 1, dtype=torch.float32, device="cpu")
        shadow = numbers.view(-1, 1, 1).expand(output.shape).clone()
        self._shadows[id(output)] = (output, shadow)

    def follow(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """An operation: where an operand has a shadow, so has the result if it can be computed."""
        if not self._shadows or not isinstance(result, Tensor | tuple | list):
            return
        largest = max((self._size(value) for value in (*args, *kwargs.values())), default=0)
        if not largest:
            return
        try:
            shadow = func(*(self._stand_in(value, largest) for value in args),
                          **{key: self._stand_in(value, largest) for key, value in kwargs.items()
                             if key != "device"})  # fmt: skip
        except (_UnknownError, RuntimeError, TypeError, IndexError):
            return
        outputs, shadows = (
            (values if isinstance(values, tuple | list) else (values,))
            for values in (result, shadow)
        )
        for output, values in zip(outputs, shadows, strict=True):
            if isinstance(output, Tensor) and output.shape == values.shape:
                self._shadows[id(output)] = (output, values)

    def read(self, operand: Tensor) -> tuple[int, ...] | None:
        """The head of each of the operand's last dimension, None where that does not show."""
        if id(operand) not in self._shadows:
            return None
        rows = self._shadows[id(operand)][1].reshape(-1, operand.shape[-1]).double()
        ratios = rows[:1] / rows[0].min()
        numbers = ratios[0].round()
        whole = bool((ratios - numbers).abs().max() < EXACT)
        alike = bool(((rows / rows.amin(1, keepdim=True)) - numbers).abs().max() < EXACT)
        heads = tuple(int(number) - 1 for number in numbers.tolist()) if whole and alike else ()
        return heads if set(heads) == set(range(self._count)) else None

    def _size(self, value: Any) -> int:
        """Elements of the largest tensor in an argument that has a shadow, 0 without one."""
        if isinstance(value, list | tuple):
            return max(map(self._size, value), default=0)
        return value.numel() if isinstance(value, Tensor) and id(value) in self._shadows else 0

    def _stand_in(self, value: Any, largest: int) -> Any:
        """An argument with values: the shadow, or ones. Raises where there are none to be had."""
        if isinstance(value, list | tuple):
            return type(value)(self._stand_in(each, largest) for each in value)
        if not isinstance(value, Tensor):
            return value
        if id(value) in self._shadows:
            return self._shadows[id(value)][1]
        if value.device.type == "cpu":
            return value
        if not value.is_floating_point() or value.numel() > 4 * largest:
            raise _UnknownError
        return torch.ones(value.shape, dtype=torch.float32, device="cpu")


class _UnknownError(Exception):
    """An operand whose values matter and are not known."""
