"""Key/value caches by rows: taking some, giving a layer's to all, continuing a copy.

Works on the layers of a transformers `Cache` whatever they keep (keys and values, sliding
windows, convolution and recurrent states), by the tensors in them: each has the batch first.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

ARGUMENTS = ("cache", "past_key_values")
"""What models call their cache, the newer name first: transformers renamed it."""
GROWING = ("keys", "values")
"""The states that grow with every token."""


def cache_argument(forward: Callable[..., Any], cache: Cache) -> dict[str, Cache]:
    """The cache as a keyword argument, for a model with this `forward`, of it and of `generate`."""
    parameters = inspect.signature(forward).parameters
    name = next((name for name in ARGUMENTS if name in parameters), ARGUMENTS[-1])
    return {name: cache}


def cache_of(output: Any) -> Cache | None:
    """The cache in a model's output, None where it holds none."""
    values = (getattr(output, name, None) for name in ARGUMENTS)
    return next((cache for cache in values if isinstance(cache, Cache)), None)


def stored_rows(layer: Any) -> int | None:
    """Batch rows of one cache layer, None where it holds nothing yet."""
    for _, tensor in _states(layer):
        return tensor.shape[0]
    return None


def take_rows(layer: Any, index: Tensor) -> Any:
    """A cache layer that holds these rows, independent of the given one."""
    taken = _fork_layer(layer)
    for place, tensor in _states(layer):
        _set_state(taken, place, tensor.index_select(0, index.to(tensor.device)))
    return taken


def select_rows(cache: Cache, rows: list[int]) -> None:
    """Keep only these rows, in this order, of every layer."""
    index = torch.tensor(rows)
    for at, layer in enumerate(cache.layers):
        if stored_rows(layer) is not None:
            cache.layers[at] = take_rows(layer, index)


def spread_layer(cache: Cache, count: int, places: Tensor) -> None:
    """Give what a layer has just stored for `count` active rows to all rows, by their places."""
    for at, layer in enumerate(cache.layers):
        if stored_rows(layer) == count:
            cache.layers[at] = take_rows(layer, places)


def put_layer(cache: Cache, at: int, layer: Any) -> None:
    """Set layer `at`, where the cache may not have grown that far yet."""
    while len(cache.layers) <= at:
        assert cache.layer_class_to_replicate is not None
        cache.layers.append(cache.layer_class_to_replicate())
    cache.layers[at] = layer


def fork(cache: Cache) -> Cache:
    """A cache that can be continued without touching the given one."""
    twin = copy.copy(cache)
    twin.layers = [_fork_layer(layer) for layer in cache.layers]
    for layer in twin.layers:
        for place, tensor in _states(layer):
            # Keys and values grow by concatenation, which makes new tensors; other states are
            # overwritten in place and need a copy of their own.
            if place not in GROWING:
                _set_state(layer, place, tensor.clone())
    return twin


def has_overwritten_states(cache: Cache) -> bool:
    """Whether some layer keeps states of fixed size instead of growing keys and values."""
    return any(place not in GROWING for layer in cache.layers for place, _ in _states(layer))


def _fork_layer(layer: Any) -> Any:
    twin = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, dict):
            setattr(twin, name, dict(value))
    return twin


def _states(layer: Any) -> list[tuple[Any, Tensor]]:
    """(place, tensor) of every state with a batch axis: an attribute, or a dict's entry."""
    states: list[tuple[Any, Tensor]] = []
    for name, value in vars(layer).items():
        if isinstance(value, Tensor) and value.dim() > 1:
            states.append((name, value))
        elif isinstance(value, dict):
            states += [
                ((name, key), inner)
                for key, inner in value.items()
                if isinstance(inner, Tensor) and inner.dim() > 1
            ]
    return states


def _set_state(layer: Any, place: Any, tensor: Tensor) -> None:
    if isinstance(place, tuple):
        name, key = place
        getattr(layer, name)[key] = tensor
    else:
        setattr(layer, place, tensor)
