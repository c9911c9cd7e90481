"""The last layer's feed-forward block, for the positions whose logits are read alone.

No layer comes after it that would look at the others, and a feed-forward block treats every
position by itself. All variants reach the last layer, so of a sweep of L layers this is L + 1 of
its L(L+1)/2 + L evaluations: a fifth of them for eight layers, one in sixteen for thirty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from talo_export.models.anatomy import Decoder
from talo_export.probing.forwards import Forward


def feed_forward(decoder: Decoder) -> str | None:
    """Path of the child of the last layer that ends its feed-forward block, None without one.

    A child that holds a token mixer too is none: it does look at other positions.
    """
    layer = decoder.layers[-1]
    below = {name.removeprefix(f"{layer.path}.").split(".")[0] for name in layer.mlp_output}
    paths = [f"{layer.path}.{child}" for child in below]
    if len(paths) != 1 or any(
        mixer.path == paths[0] or mixer.path.startswith(f"{paths[0]}.") for mixer in layer.mixers
    ):
        return None
    return paths[0]


def for_last_positions(kept: Callable[[], int | None], forward: Forward) -> Forward:
    """A forward of (rows, tokens, width) states that computes the last `kept()` tokens alone.

    The others come out as zeros. With None, and for states of another shape, it is the same.
    """

    def enter(hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        keep = kept()
        if keep is None or hidden.dim() != 3 or hidden.shape[1] <= keep:
            return forward(hidden, *args, **kwargs)
        output = forward(hidden[:, -keep:], *args, **kwargs)
        first, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
        rows, tokens = hidden.shape[:2]
        whole = first.new_zeros(rows, tokens, *first.shape[2:])
        whole[:, -keep:] = first
        return whole if rest is None else (whole, *rest)

    return enter
