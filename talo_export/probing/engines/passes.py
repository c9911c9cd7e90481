"""Shared passes: the model's own forward, run so that no layer repeats what it already did.

`plan.py` says which rows a pass carries through which layers, `walk.py` carries them; this file
puts both in the places where the model calls its stack of layers, each layer, its vision tower and
its output embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import Cache

from talo_export.models.anatomy import Decoder
from talo_export.models.switching import silenced
from talo_export.probing.engines.caches import cache_of, select_rows
from talo_export.probing.engines.last_positions import feed_forward, for_last_positions
from talo_export.probing.engines.plan import Pass
from talo_export.probing.engines.walk import CannotShareError, ItemState, PassEndedError, Walk
from talo_export.probing.forwards import Forward, Place, all_replaced
from talo_export.probing.vision import vision_entries

Made = TypeVar("Made")
ALL = 2**31
"""Of a pass's positions: every one, through every module."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass ends with: logits (answers wanted, positions, vocabulary) and their cache."""

    logits: Tensor
    cache: Cache | None


@dataclass
class _Running:
    """A pass under way, and how it ends: the rows and positions whose logits are wanted."""

    walk: Walk
    wanted: list[int]
    keep: int
    first_forward: bool
    """Whether the pass ends with the model's first forward, and what follows runs as it is."""
    headed: bool = False


class SharedModel:
    """A model whose layers can be run in shared passes, while `installed` is open."""

    def __init__(self, model: nn.Module, decoder: Decoder) -> None:
        self.model = model
        self.decoder = decoder
        self._name = type(model).__name__
        self._layers = [model.get_submodule(layer.path) for layer in decoder.layers]
        self._stack = model.get_submodule(decoder.path.rpartition(".")[0])
        self._head = model.get_output_embeddings()
        if self._stack is model or len({id(layer) for layer in self._layers}) < len(decoder):
            raise CannotShareError(f"{self._name} has no stack of layers of its own")
        if self._head is None:
            raise CannotShareError(f"{self._name} has no output embeddings")
        config = model.config.get_text_config(decoder=True)
        self._width = int(config.hidden_size)
        self._sizes = {1, 2, 3, 4} | {n for n in config.to_dict().values() if isinstance(n, int)}
        self._lengths: dict[int, int | None] = {}
        self._running: _Running | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put the stand-ins in place. Outside `run` and `generate` they only call through."""
        places: list[Place] = [
            (self._stack, "forward", self._stand_in(self._enter_stack)),
            (self._head, "forward", self._stand_in(self._enter_head)),
        ]
        places += [
            (layer, "forward", self._stand_in(partial(self._enter_layer, index)))
            for index, layer in enumerate(self._layers)
        ]
        places += [
            (module, method, self._stand_in(partial(self._look, id(module))))
            for module, method in vision_entries(self.model, self.decoder)
        ]
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
        keep: int = 1,
        cache: bool = False,
    ) -> Passed | None:
        """Run one pass over an item's `inputs` (a batch of one).

        Returns the last `keep` positions' logits of the answers wanted, in the plan's order;
        nothing for a pass that stops at its handover. `cache` keeps key/values too. Raises
        CannotShareError where the model does not fit.
        """
        output = self._carry_out(
            plan, state, keep, False, lambda: self.model(**inputs, use_cache=cache)
        )
        if output is None:
            return None
        kept = cache_of(output) if cache else None
        if cache:
            if kept is None:
                raise CannotShareError(f"{self._name} keeps no cache")
            select_rows(kept, [plan.rows.index(variant) for variant in plan.wanted])
        return Passed(output.logits[:, -keep:], kept)

    def generate(self, plan: Pass, state: ItemState, generate: Callable[[], Made]) -> Made | None:
        """What a stock generation on a batch of one gives, its first forward being this pass.

        The tokens that follow are read by the model as it is, the pass's variant silenced. Nothing
        for a pass that stops at its handover.
        """
        return self._carry_out(plan, state, ALL, True, generate)

    def _carry_out(
        self,
        plan: Pass,
        state: ItemState,
        keep: int,
        first_forward: bool,
        call: Callable[[], Made],
    ) -> Made | None:
        """What `call` gives while the model's layers follow the plan, None where it stops."""
        masks = {
            variant: torch.arange(count) == place
            for variant, (place, count) in plan.silence().items()
        }
        wanted = [plan.rows.index(variant) for variant in plan.wanted]
        walk = Walk(plan, state, self._lengths)
        running = self._running = _Running(walk, wanted, keep, first_forward)
        try:
            with silenced(self.model, self.decoder, masks):
                made = call()
        except PassEndedError:
            return None
        finally:
            self._running = None
        if not walk.rows or not running.headed:
            raise CannotShareError(f"{self._name} passes its stack of layers by")
        return made

    def _stand_in(self, enter: Callable[..., Any]) -> Callable[[Forward], Forward]:
        """Calls `enter(pass under way, method, args, kwargs)` for a method; through, without one"""

        def wrap(forward: Forward) -> Forward:
            def stand_in(*args: Any, **kwargs: Any) -> Any:
                if self._running is None:
                    return forward(*args, **kwargs)
                return enter(self._running, forward, args, kwargs)

            return stand_in

        return wrap

    def _enter_stack(self, running: _Running, forward: Forward, args: Any, kwargs: Any) -> Any:
        args, kwargs = running.walk.widen(self._sizes, self._width, args, kwargs)
        return forward(*args, **kwargs)

    def _enter_layer(
        self, index: int, running: _Running, forward: Forward, args: Any, kwargs: Any
    ) -> Any:
        if not running.walk.rows:
            raise CannotShareError(f"{self.decoder.path} is not where its layers are called")
        return running.walk.through(index, forward, args, kwargs)

    def _look(self, entry: int, running: _Running, forward: Forward, args: Any, kwargs: Any) -> Any:
        return running.walk.look(entry, forward, args, kwargs)

    def _enter_head(self, running: _Running, forward: Forward, args: Any, kwargs: Any) -> Any:
        hidden, *others = args
        if hidden.shape[0] != running.walk.rows:
            return forward(*args, **kwargs)
        running.headed = True
        if running.first_forward:
            self._running = None
        index = torch.tensor(running.wanted, device=hidden.device)
        return forward(hidden[:, -running.keep :].index_select(0, index), *others, **kwargs)

    def _kept(self) -> int | None:
        """How many positions' logits the pass under way is read at."""
        return None if self._running is None else self._running.keep
