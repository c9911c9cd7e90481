"""Weights that accelerate brings in for each call, kept in place for several calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate.hooks import AlignDevicesHook, SequentialHook
from torch import nn


@contextmanager
def held(layer: nn.Module) -> Iterator[None]:
    """Bring in what is offloaded of a layer now, and let it go when the block ends."""
    hooks = [
        (module, hook)
        for module in layer.modules()
        for hook in _hooks(getattr(module, "_hf_hook", None))
        if isinstance(hook, AlignDevicesHook) and hook.offload
    ]
    for module, hook in hooks:
        hook.pre_forward(module)
        hook.offload = False
    try:
        yield
    finally:
        for module, hook in hooks:
            hook.offload = True
            hook.post_forward(module, None)


def _hooks(hook: Any) -> tuple[Any, ...]:
    return tuple(hook.hooks) if isinstance(hook, SequentialHook) else (hook,)
