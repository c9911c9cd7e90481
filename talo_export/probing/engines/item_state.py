"""What an item's passes leave to each other: the trunk's states and caches, and the tower's output.

The trunk is the unmodified model. A later pass begins where an earlier one has left it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from talo_export.probing.engines.cache_rows import put_layer, stored_rows, take_rows
from talo_export.probing.engines.tensor_rows import map_tensors, spread_rows


@dataclass
class ItemState:
    """What an item's passes leave to each other: the trunk's states, and the vision tower's."""

    hidden: Tensor | None = None
    """The trunk's input of the next pass's first layer, (1, tokens, width)."""
    cache_layers: dict[int, Any] = field(default_factory=dict)
    """Layer -> the trunk's key/value cache there, one row."""
    shared: dict[int, list[dict[Any, Any]]] = field(default_factory=dict)
    """Layer -> what it wrote into stores that later layers read, one entry a store, one row."""
    vision: dict[int, list[Any]] = field(default_factory=dict)
    """What the vision tower and its projector gave, call by call."""


def spread_cache(cache: Cache, count: int, rows: int, places: Tensor) -> None:
    """Give what a layer has just stored for the active rows to all rows."""
    if count == rows:
        return
    for at, layer in enumerate(cache.layers):
        if stored_rows(layer) == count:
            cache.layers[at] = take_rows(layer, places)


def remember(
    state: ItemState, index: int, caches: Sequence[Cache], wrote: list[dict[Any, Any]]
) -> None:
    """Keep what the trunk stored at a layer for passes that begin above it. It is row 0."""
    first = torch.zeros(1, dtype=torch.long)
    for cache in caches:
        if index < len(cache.layers) and stored_rows(cache.layers[index]) is not None:
            state.cache_layers[index] = take_rows(cache.layers[index], first)
    if any(wrote):
        state.shared[index] = [
            map_tensors(entries, lambda tensor: tensor[:1].clone()) for entries in wrote
        ]


def recall(
    state: ItemState,
    index: int,
    caches: Sequence[Cache],
    stores: Mapping[str, MutableMapping[Any, Any]],
    rows: int,
) -> None:
    """Do to caches and stores what the trunk did at a layer that is left out."""
    all_first = torch.zeros(rows, dtype=torch.long)
    for cache in caches:
        if index in state.cache_layers:
            put_layer(cache, index, take_rows(state.cache_layers[index], all_first))
    if index in state.shared:
        for store, entries in zip(stores.values(), state.shared[index], strict=True):
            store.update(spread_rows(entries, 1, all_first))
