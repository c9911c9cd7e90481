"""One pass under way: which rows each layer computes, and what the trunk leaves to later passes.

A knockout at layer k leaves every layer below k as it is. One pass therefore carries several
*rows*, all of the same item: the *trunk*, which is the unmodified model, and variants. A variant
that has not been reached yet equals the trunk and costs nothing; at its layer it joins, with its
attention silenced, and runs by itself from there. Everything between the layers, before and after
them is the model's own code, run on all rows: what it adds there (DeepStack, per-layer inputs,
shared key/values, scaled logits) stays its own business.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from talo_export.errors import TaloError
from talo_export.probing.engines.plan import Pass
from talo_export.probing.engines.rows import (
    changed_entries,
    dimensions,
    distinct_row_count,
    expand_hidden,
    expand_single,
    hidden_row_axis,
    map_tensors,
    narrow_rows,
    places_of,
    put_layer,
    spread_layer,
    spread_output,
    spread_rows,
    stored_rows,
    take_hidden,
    take_rows,
)
from talo_export.probing.forwards import Forward

Stores = Mapping[str, MutableMapping[Any, Any]]
FIRST = torch.zeros(1, dtype=torch.long)
"""The trunk's row."""


class CannotShareError(TaloError):
    """This model does not run in shared passes. The naive engine always can."""


class PassEndedError(Exception):
    """Leaves the model's forward: the pass stops at its handover."""


@dataclass
class ItemState:
    """What an item's passes leave to each other: the trunk's states, and the vision tower's.

    A later pass begins where an earlier one has left the trunk, the unmodified model.
    """

    hidden: Tensor | None = None
    """The trunk's input of the next pass's first layer, (1, tokens, width)."""
    cache_layers: dict[int, Any] = field(default_factory=dict)
    """Layer -> the trunk's key/value cache there, one row."""
    shared: dict[int, list[dict[Any, Any]]] = field(default_factory=dict)
    """Layer -> what it wrote into stores that later layers read, one entry a store, one row."""
    vision: dict[int, list[Any]] = field(default_factory=dict)
    """What the vision tower and its projector gave, call by call."""

    def keep(self, index: int, caches: Sequence[Cache], wrote: list[dict[Any, Any]]) -> None:
        """Keep what the trunk stored at a layer for passes that begin above it. It is row 0."""
        for cache in caches:
            if index < len(cache.layers) and stored_rows(cache.layers[index]) is not None:
                self.cache_layers[index] = take_rows(cache.layers[index], FIRST)
        if any(wrote):
            self.shared[index] = [
                map_tensors(entries, lambda tensor: tensor[:1].clone()) for entries in wrote
            ]

    def put_back(self, index: int, caches: Sequence[Cache], stores: Stores, rows: int) -> None:
        """Do to caches and stores what the trunk did at a layer that is left out."""
        all_first = FIRST.expand(rows)
        for cache in caches:
            if index in self.cache_layers:
                put_layer(cache, index, take_rows(self.cache_layers[index], all_first))
        if index in self.shared:
            for store, entries in zip(stores.values(), self.shared[index], strict=True):
                store.update(spread_rows(entries, 1, all_first))


@dataclass
class Walk:
    """A pass on its way through a model. `lengths` outlives it."""

    plan: Pass
    state: ItemState
    lengths: dict[int, int | None]
    """Layer -> how many values it returns, None for hidden states alone; filled as layers run."""
    keep: int
    """How many last positions' logits are read."""
    first_forward: bool
    """Whether it ends with the model's first forward, and what follows runs as it is."""
    headed: bool = False
    """Whether it has come to the output embeddings."""
    rows: int = 0
    """The batch inside the stack, 0 before it is entered. Rows beyond the plan's are never read."""
    looks: dict[int, int] = field(default_factory=dict)

    def widen(
        self, sizes: set[int], width: int, args: Any, kwargs: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of the stack for all rows; `sizes` are the model's other dimensions."""
        least = len(self.plan.rows)
        taken = sizes | dimensions((args, kwargs))
        self.rows = 1 if least == 1 else distinct_row_count(least, taken)
        widened: tuple[tuple[Any, ...], dict[str, Any]] = (args, kwargs)
        return widened if self.rows == 1 else expand_single(widened, self.rows, width)

    def through(
        self, index: int, forward: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What layer `index` returns for all rows, computed for the active ones."""
        hidden, args, kwargs = take_hidden(args, kwargs)
        caches = [value for value in (*args, *kwargs.values()) if isinstance(value, Cache)]
        stores = {k: v for k, v in kwargs.items() if isinstance(v, MutableMapping)}
        plan, state, rows = self.plan, self.state, self.rows
        if index < plan.start:
            state.put_back(index, caches, stores, rows)
            length = self.lengths.get(index)
            return hidden if length is None else (hidden, *[None] * (length - 1))
        if index == plan.start > 0:
            if state.hidden is None:
                raise CannotShareError(f"layer {index} was not reached by the pass before")
            hidden = expand_hidden(state.hidden, rows)
        if index == plan.handover:
            state.hidden = hidden.narrow(hidden_row_axis(hidden), 0, 1).clone()
            if plan.stops:
                raise PassEndedError
        active = plan.active(index)
        whole = len(active) == rows
        # The stores are the model's own objects: they are read through narrowed copies, and what a
        # layer writes there is spread back to all rows.
        part, outer, inner = (
            (hidden, args, kwargs) if whole else narrow_rows((hidden, args, kwargs), rows, active)
        )
        given = {name: dict(inner[name]) for name in stores}
        output = forward(part, *outer, **inner)
        self.lengths[index] = len(output) if isinstance(output, tuple) else None
        places = places_of(active, rows, hidden.device)
        wrote = [changed_entries(inner[name], given[name]) for name in stores]
        for store, entries in zip(stores.values(), wrote, strict=True):
            store.update(entries if whole else spread_rows(entries, len(active), places))
        for cache in caches:
            if not whole:
                spread_layer(cache, len(active), places)
        if plan.trunk and 0 in active:
            state.keep(index, caches, wrote)
        return output if whole else spread_output(output, hidden, len(active), places)

    def look(self, forward: Forward, args: Any, kwargs: Any, *, entry: int) -> Any:
        """What the vision tower gives: run once for an item, then the same again."""
        seen = self.state.vision.setdefault(entry, [])
        at = self.looks.get(entry, 0)
        self.looks[entry] = at + 1
        if at == len(seen):
            seen.append(forward(*args, **kwargs))
        # The containers are copied: models hang further results into them.
        return map_tensors(seen[at], lambda tensor: tensor)
