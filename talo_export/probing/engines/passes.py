"""Shared passes: the model's own forward, run so that no layer repeats what it already did.

A knockout at layer k leaves every layer below k as it is. One pass therefore carries several
*rows*, all of the same item: the *trunk*, which is the unmodified model, and variants. A variant
that has not been reached yet equals the trunk and costs nothing; at its layer it joins, with its
attention silenced, and runs by itself from there. Everything between the layers, before and after
them is the model's own code, run on all rows: what it adds there (DeepStack, per-layer inputs,
shared key/values, scaled logits) stays its own business.

`plan.py` says which rows a pass carries through which layers; this file makes a model do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import Cache

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder
from talo_export.models.switching import silenced
from talo_export.probing.engines.cache_argument import cache_of
from talo_export.probing.engines.cache_rows import select_rows
from talo_export.probing.engines.hidden_rows import (
    row_axis_of,
    spread_output,
    take_hidden,
    with_rows,
)
from talo_export.probing.engines.item_state import ItemState, recall, remember, spread_cache
from talo_export.probing.engines.last_positions import feed_forward, for_last_positions
from talo_export.probing.engines.plan import Pass, Variant
from talo_export.probing.engines.tensor_rows import (
    changed_entries,
    dimensions,
    distinct_row_count,
    expand_single,
    map_tensors,
    narrow_rows,
    spread_rows,
    whole_index,
)
from talo_export.probing.forwards import Forward, Place, all_replaced
from talo_export.probing.vision import vision_entries

Made = TypeVar("Made")


class CannotShareError(TaloError):
    """This model does not run in shared passes. The naive engine always can."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass ends with: logits (variants wanted, positions, vocabulary) and their cache."""

    logits: Tensor
    cache: Cache | None


ALL = 2**31
"""Of a pass's positions: every one, through every module."""


class _StopPassError(Exception):
    """Leaves the model's forward once the trunk's states are kept."""


class SharedModel:
    """A model whose layers can be run in shared passes, while `installed` is open."""

    def __init__(self, model: nn.Module, decoder: Decoder) -> None:
        self.model = model
        self.decoder = decoder
        self._layers = [model.get_submodule(layer.path) for layer in decoder.layers]
        owner = decoder.path.rpartition(".")[0]
        self._stack = model.get_submodule(owner)
        if self._stack is model or len({id(layer) for layer in self._layers}) < len(decoder):
            raise CannotShareError(f"{type(model).__name__} has no stack of layers of its own")
        config = model.config.get_text_config(decoder=True)
        self._width = int(config.hidden_size)
        self._sizes = {1, 2, 3, 4} | {n for n in config.to_dict().values() if isinstance(n, int)}
        self._returns: dict[int, int | None] = {}
        self._run: _Run | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the stand-ins in place. Outside `run` they only call through."""
        places: list[Place] = [(self._stack, "forward", self._enter_stack)]
        places += [
            (layer, "forward", partial(self._enter_layer, index))
            for index, layer in enumerate(self._layers)
        ]
        places += [
            (module, method, partial(self._see_once, id(module)))
            for module, method in vision_entries(self.model, self.decoder)
        ]
        head = self.model.get_output_embeddings()
        if head is None:
            raise CannotShareError(f"{type(self.model).__name__} has no output embeddings")
        places.append((head, "forward", self._enter_head))
        last = feed_forward(self.decoder)
        if last is not None:
            narrowed = partial(for_last_positions, self._kept)
            places.append((self.model.get_submodule(last), "forward", narrowed))
        with all_replaced(places):
            yield

    def run(
        self,
        inputs: Mapping[str, Any],
        plan: Pass,
        state: ItemState,
        *,
        wanted: Sequence[Variant],
        keep: int = 1,
        cache: bool = False,
    ) -> Passed | None:
        """Run one pass over an item's `inputs` (a batch of one).

        Returns the last `keep` positions' logits of the `wanted` variants (None: the trunk), in
        that order; nothing for a pass that stops at its handover. `cache` keeps key/values too.
        Raises CannotShareError where the model does not fit.
        """
        rows = (None, *plan.variants) if plan.trunk else plan.variants
        run = _Run(plan, state, [rows.index(variant) for variant in wanted], keep)
        output = self._carry_out(run, lambda: self.model(**inputs, use_cache=cache))
        if output is None:
            return None
        kept = cache_of(output) if cache else None
        if cache:
            if kept is None:
                raise CannotShareError(f"{type(self.model).__name__} keeps no cache")
            select_rows(kept, run.wanted)
        return Passed(output.logits[:, -keep:], kept)

    def generate(self, plan: Pass, state: ItemState, generate: Callable[[], Made]) -> Made | None:
        """What a stock generation on a batch of one gives, its first forward being this pass.

        The tokens that follow are read by the model as it is, the pass's variant silenced. Nothing
        for a pass that stops at its handover.
        """
        return self._carry_out(_Run(plan, state, [0], ALL, first_forward=True), generate)

    def _carry_out(self, run: _Run, call: Callable[[], Made]) -> Made | None:
        """What `call` gives while the model's layers follow the pass, None where it stops."""
        masks = {
            variant: torch.arange(count) == place
            for variant, (place, count) in run.plan.silence().items()
        }
        self._run = run
        try:
            with silenced(self.model, self.decoder, masks):
                made = call()
        except _StopPassError:
            return None
        finally:
            self._run = None
            if run.plan.handover is not None:
                run.state.hidden = run.next_hidden
        if not run.entered or not run.headed:
            raise CannotShareError(f"{type(self.model).__name__} passes its stack of layers by")
        return made

    def _enter_stack(self, forward: Forward) -> Forward:
        def enter(*args: Any, **kwargs: Any) -> Any:
            run = self._run
            if run is None:
                return forward(*args, **kwargs)
            least = len(run.plan.variants) + int(run.plan.trunk)
            taken = self._sizes | dimensions((args, kwargs))
            run.rows = 1 if least == 1 else distinct_row_count(least, taken)
            run.entered = True
            if run.rows > 1:
                args, kwargs = expand_single((args, kwargs), run.rows, self._width)
            return forward(*args, **kwargs)

        return enter

    def _enter_layer(self, index: int, forward: Forward) -> Forward:
        def enter(*args: Any, **kwargs: Any) -> Any:
            run = self._run
            if run is None:
                return forward(*args, **kwargs)
            if not run.entered:
                raise CannotShareError(f"{self.decoder.path} is not where its layers are called")
            hidden, args, kwargs = take_hidden(args, kwargs)
            caches = [value for value in (*args, *kwargs.values()) if isinstance(value, Cache)]
            stores = {k: v for k, v in kwargs.items() if isinstance(v, MutableMapping)}
            plan, state = run.plan, run.state
            if index < plan.start:
                recall(state, index, caches, stores, run.rows)
                return self._shaped(index, hidden)
            if plan.start and not run.started:
                if state.hidden is None:
                    raise CannotShareError(f"{self.decoder.path}.{plan.start} was not reached")
                hidden = state.hidden.expand(*with_rows(hidden, run.rows))
            run.started = True
            if plan.handover is not None and index >= plan.handover and not run.handed_over:
                run.next_hidden = hidden.narrow(row_axis_of(hidden), 0, 1).clone()
                run.handed_over = True
                if plan.stops:
                    raise _StopPassError
            active = plan.active(index)
            if not len(active):
                return self._shaped(index, hidden)
            whole = len(active) == run.rows
            # The stores are the model's own objects: they are read through narrowed copies, and
            # what a layer writes there is spread back to all rows.
            inner = kwargs if whole else narrow_rows(kwargs, run.rows, active.start, len(active))
            outer = args if whole else narrow_rows(args, run.rows, active.start, len(active))
            given = {name: dict(inner[name]) for name in stores}
            part = hidden if whole else narrow_rows(hidden, run.rows, active.start, len(active))
            output = forward(part, *outer, **inner)
            self._returns[index] = len(output) if isinstance(output, tuple) else None
            places = whole_index(active, run.rows, hidden.device)
            wrote = [changed_entries(inner[name], given[name]) for name in stores]
            for store, entries in zip(stores.values(), wrote, strict=True):
                store.update(entries if whole else spread_rows(entries, len(active), places))
            for cache in caches:
                spread_cache(cache, len(active), run.rows, places)
            if plan.trunk and 0 in active:
                remember(state, index, caches, wrote)
            return output if whole else spread_output(output, hidden, len(active), places)

        return enter

    def _shaped(self, index: int, hidden: Tensor) -> Any:
        """A layer's return value for hidden states it does not compute."""
        length = self._returns.get(index)
        return hidden if length is None else (hidden, *[None] * (length - 1))

    def _kept(self) -> int | None:
        """How many positions' logits the pass under way is read at."""
        return None if self._run is None else self._run.keep

    def _enter_head(self, forward: Forward) -> Forward:
        def enter(hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
            run = self._run
            if run is None or hidden.shape[0] != run.rows:
                return forward(hidden, *args, **kwargs)
            run.headed = True
            if run.first_forward:
                self._run = None
            index = torch.tensor(run.wanted, device=hidden.device)
            return forward(hidden[:, -run.keep :].index_select(0, index), *args, **kwargs)

        return enter

    def _see_once(self, entry: int, forward: Forward) -> Forward:
        def see(*args: Any, **kwargs: Any) -> Any:
            run = self._run
            if run is None:
                return forward(*args, **kwargs)
            seen = run.state.vision.setdefault(entry, [])
            at = run.looks.get(entry, 0)
            run.looks[entry] = at + 1
            if at == len(seen):
                seen.append(forward(*args, **kwargs))
            # The containers are copied: models hang further results into them.
            return map_tensors(seen[at], lambda tensor: tensor)

        return see


@dataclass
class _Run:
    """One pass under way."""

    plan: Pass
    state: ItemState
    wanted: list[int]
    keep: int
    first_forward: bool = False
    """Whether the pass ends with the model's first forward, and what follows runs as it is."""
    rows: int = 1
    entered: bool = False
    headed: bool = False
    started: bool = False
    handed_over: bool = False
    next_hidden: Tensor | None = None
    looks: dict[int, int] = field(default_factory=dict)
