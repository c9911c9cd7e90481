"""Forward and backward passes, counted by hooks on the decoder's layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from talo_export.models.anatomy import Decoder
from talo_export.probing.cost import hidden_argument


@dataclass
class Passes:
    """Running totals of layer passes over whole prompts, `layers` of which are one model pass."""

    layers: int
    forward_layers: int = 0
    backward_layers: int = 0

    @property
    def forward(self) -> int:
        """Forward passes of the whole model, one for each item and time, rounded."""
        return round(self.forward_layers / self.layers)

    @property
    def backward(self) -> int:
        """Backward passes, likewise. Layers below the lowest trained weight need none."""
        return round(self.backward_layers / self.layers)


@contextmanager
def counted(model: nn.Module, decoder: Decoder) -> Iterator[Passes]:
    """Count until the block ends. Recomputing for gradient checkpointing counts as forward."""
    passes = Passes(len(decoder))

    def forward(_module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        rows = hidden_argument(args, kwargs).shape[0]
        passes.forward_layers += rows
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: backward(rows, gradient))

    def backward(rows: int, _gradient: Tensor) -> None:
        passes.backward_layers += rows

    handles = [
        model.get_submodule(layer.path).register_forward_hook(forward, with_kwargs=True)
        for layer in decoder.layers
    ]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()
