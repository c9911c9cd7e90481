"""Heads of one architecture: that the columns which are cut are those that read the head.

Shown by an intervention that knows nothing of columns: zeros are put in place of what the attention
itself makes of one head, the product of its weights and values, in the running model. The output
projection must then read zeros in exactly the columns that a cut of this head would fill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from talo_export.models.anatomy import Heads, Layer
from talo_export.models.proof import BaseAnswer, logits_of


class Silence(TorchDispatchMode):
    """Zeros in place of one head of what attention weights make of values."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.head = head
        self.active = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.active:
            name = func._schema.name.partition("::")[2]
            if name == "bmm" and are_weights(args[0]):
                result[self.head] = 0
            elif name.startswith("_scaled_dot_product"):
                result[0][:, self.head] = 0
        return result


def are_weights(tensor: Tensor) -> bool:
    """(heads, T, T), none negative."""
    return tensor.shape[1] == tensor.shape[2] > 1 and not bool((tensor < 0).any())


@contextmanager
def attention_without(model: nn.Module, path: str, head: int) -> Iterator[None]:
    """The attention in `path` puts out zeros for `head`, whatever is done with them then."""
    mode, module = Silence(head), model.get_submodule(path)

    def switch(on: bool) -> Any:
        return lambda *_: setattr(mode, "active", on)

    handles = (
        module.register_forward_pre_hook(switch(True)),
        module.register_forward_hook(switch(False)),
    )
    try:
        with mode:
            yield
    finally:
        for handle in handles:
            handle.remove()


def silent_columns(
    model: nn.Module, layer: Layer, head: int, base: BaseAnswer
) -> tuple[set[int], Tensor]:
    """The inputs of the layer's output projection that are zero where `head` is; the logits then.

    Of its first call.
    """
    (mixer,) = layer.attention
    assert mixer.heads is not None
    read: list[Tensor] = []
    projection = model.get_submodule(mixer.heads.weight.rpartition(".")[0])
    handle = projection.register_forward_pre_hook(lambda _, args: read.append(args[0].clone()))
    try:
        with attention_without(model, mixer.path, head):
            logits = logits_of(model, base.example)
    finally:
        handle.remove()
    zero = read[0].reshape(-1, mixer.heads.inputs).eq(0).all(0)
    return set(zero.nonzero().flatten().tolist()), logits


def columns(heads: Heads, head: int) -> set[int]:
    """The inputs that a cut of this head fills."""
    return {place for run in heads.inputs_of((head,)) for place in run}


def check_head(model: nn.Module, layer: Layer, head: int, base: BaseAnswer) -> None:
    """Raises AssertionError where other columns than the head's become silent with it."""
    (mixer,) = layer.attention
    assert mixer.heads is not None
    silent, _ = silent_columns(model, layer, head, base)
    assert silent == columns(mixer.heads, head), f"head {head} stands in other columns"
