"""Forward and backward passes, counted by hooks on the decoder's layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    with ExitStack() as hooks:
        for layer in decoder.layers:
            module = model.get_submodule(layer.path)
            # Recomputing runs a layer's forward, but not its hooks; those of a module inside run
            # again.
            inside = model.get_submodule(layer.mixers[0].path) if layer.mixers else module
            count = _LayerCount(passes)
            hooks.enter_context(module.register_forward_pre_hook(count.enter, with_kwargs=True))
            hooks.enter_context(inside.register_forward_pre_hook(count.forward))
            hooks.enter_context(module.register_forward_hook(count.leave))
        yield passes


@dataclass
class _LayerCount:
    """What the hooks of one layer know."""

    passes: Passes
    rows: int = 0

    def enter(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        self.rows = hidden_argument(args, kwargs).shape[0]

    def forward(self, _module: nn.Module, _args: Any) -> None:
        self.passes.forward_layers += self.rows

    def leave(self, _module: nn.Module, _args: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.requires_grad:
            rows = self.rows
            hidden.register_hook(lambda gradient: self.backward(rows, gradient))

    def backward(self, rows: int, _gradient: Tensor) -> None:
        self.passes.backward_layers += rows
