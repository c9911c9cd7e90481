"""Rows of the batch inside whatever a model passes from layer to layer, its cache too.

During a shared pass the batch has a number of rows that no other dimension of the model has
(`distinct_row_count`), so the axis of the rows shows in a tensor's shape: the first one, or the
second one where a few streams or kinds of position come first.

The layers of a transformers `Cache` are taken whatever they keep (keys and values, sliding windows,
convolution and recurrent states), by the tensors in them: each has the batch first.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

ARGUMENTS = ("cache", "past_key_values")
"""What models call their cache, the newer name first: transformers renamed it."""
GROWING = ("keys", "values")
"""The states that grow with every token."""


def row_axis(tensor: Tensor, rows: int) -> int | None:
    """The axis that holds the batch's rows, None where the tensor serves all rows alike."""
    shape = tensor.shape
    if len(shape) and shape[0] == rows:
        return 0
    if len(shape) > 2 and shape[0] != 1 and shape[1] == rows:
        return 1
    return None


def distinct_row_count(wanted: int, taken: Collection[int]) -> int:
    """The smallest number of rows from `wanted` on that is no other dimension."""
    count = wanted
    while count in taken:
        count += 1
    return count


def dimensions(value: Any) -> set[int]:
    """Every size that occurs among the tensors inside a value."""
    sizes: set[int] = set()

    def see(tensor: Tensor) -> Tensor:
        sizes.update(tensor.shape)
        return tensor

    map_tensors(value, see)
    return sizes


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with every tensor changed. Objects of other kinds pass as they are."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, MutableMapping):
        changed = {key: map_tensors(inner, change) for key, inner in value.items()}
        # Model outputs are data classes; shared key/value stores are mappings of their own type.
        kind: Any = type(value)
        return kind(**changed) if is_dataclass(value) else kind(changed)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(inner, change) for inner in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(inner, change) for inner in value)
    return value


def narrow_rows(value: Any, rows: int, active: range) -> Any:
    """The `active` rows of everything that has `rows` rows, as views."""

    def narrow(tensor: Tensor) -> Tensor:
        axis = row_axis(tensor, rows)
        return tensor if axis is None else tensor.narrow(axis, active.start, len(active))

    return map_tensors(value, narrow)


def spread_rows(value: Any, count: int, index: Tensor) -> Any:
    """From `count` rows, first axis, to `len(index)`: row i becomes a copy of row `index[i]`."""

    def spread(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != count:
            return tensor
        return tensor.index_select(0, index.to(tensor.device))

    return map_tensors(value, spread)


def expand_single(value: Any, rows: int, width: int) -> Any:
    """From a batch of one item to `rows` rows of it, without copying.

    Tensors of one row are expanded; tokens laid end to end without a batch axis, (tokens, width),
    are repeated; the rest (a vector of positions) serves all rows.
    """

    def expand(tensor: Tensor) -> Tensor:
        shape = tensor.shape
        if len(shape) > 1 and shape[0] == 1:
            return tensor.expand(rows, *shape[1:])
        if len(shape) > 2 and shape[1] == 1:
            return tensor.expand(shape[0], rows, *shape[2:])
        if len(shape) == 2 and shape[1] == width and tensor.is_floating_point():
            return tensor.repeat(rows, 1)
        return tensor

    return map_tensors(value, expand)


def changed_entries(after: Mapping[Any, Any], before: Mapping[Any, Any]) -> dict[Any, Any]:
    """Entries of `after` that `before` lacks or holds as another object."""
    return {key: value for key, value in after.items() if before.get(key) is not value}


def places_of(active: range, rows: int, device: torch.device) -> Tensor:
    """For each of `rows` rows the place, among the active ones, of the row it equals.

    A row that has not joined yet equals the first active one, which is then the trunk.
    """
    return torch.tensor(
        [row - active.start if row in active else 0 for row in range(rows)], device=device
    )


def take_hidden(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """A decoder layer's hidden states, apart from its other arguments."""
    if args:
        return args[0], args[1:], kwargs
    rest = dict(kwargs)
    return rest.pop("hidden_states"), (), rest


def hidden_row_axis(hidden: Tensor) -> int:
    """Hidden states are (rows, tokens, width), or (streams, rows, tokens, width)."""
    return hidden.dim() - 3


def expand_hidden(row: Tensor, rows: int) -> Tensor:
    """Hidden states of one row as `rows` equal ones, without copying."""
    shape = list(row.shape)
    shape[hidden_row_axis(row)] = rows
    return row.expand(*shape)


def spread_output(output: Any, hidden: Tensor, count: int, places: Tensor) -> Any:
    """A layer's return value for all rows. The axis of its hidden states is where theirs were."""
    first, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
    spread = first.index_select(hidden_row_axis(hidden), places)
    return spread if rest is None else (spread, *spread_rows(rest, count, places))


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
    return next((states[key].shape[0] for states, key in _states(layer)), None)


def take_rows(layer: Any, index: Tensor) -> Any:
    """A cache layer that holds these rows, independent of the given one."""
    taken = _fork_layer(layer)
    for states, key in _states(taken):
        states[key] = states[key].index_select(0, index.to(states[key].device))
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
    for states, key in _all_states(twin):
        # Keys and values grow by concatenation, which makes new tensors; other states are
        # overwritten in place and need a copy of their own.
        if key not in GROWING:
            states[key] = states[key].clone()
    return twin


def has_overwritten_states(cache: Cache) -> bool:
    """Whether some layer keeps states of fixed size instead of growing keys and values."""
    return any(key not in GROWING for _, key in _all_states(cache))


def _fork_layer(layer: Any) -> Any:
    twin = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, dict):
            setattr(twin, name, dict(value))
    return twin


def _all_states(cache: Cache) -> list[tuple[dict[Any, Any], Any]]:
    return [state for layer in cache.layers for state in _states(layer)]


def _states(layer: Any) -> Iterator[tuple[dict[Any, Any], Any]]:
    """Where every state with a batch axis is: (the attributes or a dict among them, its key)."""
    own = vars(layer)
    for states in (own, *(value for value in own.values() if isinstance(value, dict))):
        for key, value in states.items():
            if isinstance(value, Tensor) and value.dim() > 1:
                yield states, key
