"""Lockstep with the variants' states in host memory: a few rows at a time on the device.

The model sees its batch of one all along: the trunk. Every variant that has joined has its states
beside it in host memory; at each layer they follow the trunk through, at most `most` rows at once,
while the layer's weights stay where they are. So the device holds one layer, the trunk and `most`
rows, whatever the number of layers and the length of the prompt.

That is right only where a model does nothing with the states between its layers, and keeps nothing
beside them. It is looked for: the states a layer is given must be the very ones the layer before
gave back. A model of another kind is refused, and so are passes that fill a cache.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder
from talo_export.models.switching import silenced
from talo_export.probing.engines.held_weights import held
from talo_export.probing.engines.plan import Pass, Variant
from talo_export.probing.engines.tensor_rows import expand_single
from talo_export.probing.forwards import Forward


class HostStatesError(TaloError):
    """This model's states cannot be kept in host memory. On the device they can."""


class HostStates:
    """One pass under way. `rows` are the variants in the order of the plan, the trunk first."""

    def __init__(
        self, model: nn.Module, decoder: Decoder, plan: Pass, most: int, width: int, keep: int
    ) -> None:
        assert plan.trunk
        assert plan.start == 0
        assert plan.handover is None
        self._model = model
        self._decoder = decoder
        self._variants = plan.variants
        self._most = most
        self._width = width
        self._keep = keep
        self._states: list[Tensor] = []
        """(1, tokens, width) in host memory, for the variants that have joined."""
        self._given: Tensor | None = None

    def layer(
        self,
        index: int,
        module: nn.Module,
        forward: Forward,
        hidden: Tensor,
        args: Any,
        kwargs: Any,
    ) -> Any:
        """The trunk through layer `index`, and everyone who has joined after it.

        Returns what the layer returns for the trunk; after the last layer, for all rows and the
        last positions alone.
        """
        self._refuse(hidden, args, kwargs)
        joined = [variant for variant in self._variants if variant.layer <= index]
        self._states += [hidden.cpu()] * (len(joined) - len(self._states))
        with held(module):
            output = forward(hidden, *args, **kwargs)
            for first in range(0, len(joined), self._most):
                part = slice(first, first + self._most)
                self._through(index, joined[part], part, hidden.device, forward, args, kwargs)
        whole, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
        if index == len(self._decoder) - 1:
            ends = [states[:, -self._keep :].to(whole.device) for states in self._states]
            whole = torch.cat([whole[:, -self._keep :], *ends])
        self._given = whole
        return whole if rest is None else (whole, *rest)

    def _through(
        self,
        index: int,
        variants: Sequence[Variant],
        part: slice,
        device: torch.device,
        forward: Forward,
        args: Any,
        kwargs: Any,
    ) -> None:
        rows = torch.cat(self._states[part]).to(device)
        args, kwargs = expand_single((args, kwargs), len(rows), self._width)
        numbers = torch.arange(len(rows))
        cut = {v: numbers == at for at, v in enumerate(variants) if v and v.layer == index}
        with silenced(self._model, self._decoder, cut):
            output = forward(rows, *args, **kwargs)
        first = output[0] if isinstance(output, tuple) else output
        self._states[part] = list(first.cpu().split(1))

    def _refuse(self, hidden: Tensor, args: Any, kwargs: Any) -> None:
        name = type(self._model).__name__
        if hidden.dim() != 3 or hidden.shape[0] != 1:
            raise HostStatesError(f"{name}'s states have another shape than one row a variant")
        if self._given is not None and hidden is not self._given:
            raise HostStatesError(f"{name} changes the states between its layers")
        if any(isinstance(value, (Cache, MutableMapping)) for value in (*args, *kwargs.values())):
            raise HostStatesError(f"{name}'s layers keep something for later beside the states")
