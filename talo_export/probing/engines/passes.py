"""Shared passes: the model's own forward, run so that no layer repeats what it already did.

`plan.py` says which rows a pass carries through which layers, `walk.py` carries them; this file
puts both in the places where the model calls its stack of layers, each layer, its vision tower and
its output embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import Cache

from talo_export.models.anatomy import Decoder
from talo_export.models.switching import silenced
from talo_export.probing.engines.plan import Pass
from talo_export.probing.engines.rows import cache_of, select_rows
from talo_export.probing.engines.walk import CannotShareError, ItemState, PassEndedError, Walk
from talo_export.probing.forwards import Forward, Place, all_replaced
from talo_export.probing.vision import vision_entries

Made = TypeVar("Made")
ALL = 2**31
"""Of a pass's positions: every one, through every module."""


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
        self._walk: Walk | None = None

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
            (module, method, self._stand_in(partial(Walk.look, entry=id(module))))
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
    ) -> tuple[Tensor, Cache | None] | None:
        """Run one pass over an item's `inputs` (a batch of one).

        Returns (answers wanted, last `keep` positions, vocabulary) logits in the plan's order, and
        the cache of the same rows under `cache`; nothing for a pass that stops at its handover.
        Raises CannotShareError where the model does not fit.
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
            select_rows(kept, plan.ends)
        return output.logits[:, -keep:], kept

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
        walk = self._walk = Walk(plan, state, self._lengths, keep, first_forward)
        try:
            with silenced(self.model, self.decoder, masks):
                made = call()
        except PassEndedError:
            return None
        finally:
            self._walk = None
        if not walk.rows or not walk.headed:
            raise CannotShareError(f"{self._name} passes its stack of layers by")
        return made

    def _stand_in(self, enter: Callable[..., Any]) -> Callable[[Forward], Forward]:
        """Calls `enter(pass under way, method, args, kwargs)` for a method; through, without one"""

        def wrap(forward: Forward) -> Forward:
            def stand_in(*args: Any, **kwargs: Any) -> Any:
                if self._walk is None:
                    return forward(*args, **kwargs)
                return enter(self._walk, forward, args, kwargs)

            return stand_in

        return wrap

    def _enter_stack(self, walk: Walk, forward: Forward, args: Any, kwargs: Any) -> Any:
        args, kwargs = walk.widen(self._sizes, self._width, args, kwargs)
        return forward(*args, **kwargs)

    def _enter_layer(self, index: int, walk: Walk, forward: Forward, args: Any, kwargs: Any) -> Any:
        if not walk.rows:
            raise CannotShareError(f"{self.decoder.path} is not where its layers are called")
        return walk.through(index, forward, args, kwargs)

    def _enter_head(self, walk: Walk, forward: Forward, args: Any, kwargs: Any) -> Any:
        hidden, *others = args
        if hidden.shape[0] != walk.rows:
            return forward(*args, **kwargs)
        walk.headed = True
        if walk.first_forward:
            self._walk = None
        index = torch.tensor(walk.plan.ends, device=hidden.device)
        return forward(hidden[:, -walk.keep :].index_select(0, index), *others, **kwargs)

    def _kept(self) -> int | None:
        """How many positions' logits the pass under way is read at."""
        return None if self._walk is None else self._walk.keep


def feed_forward(decoder: Decoder) -> str | None:
    """Path of the child of the last layer that ends its feed-forward block, None without one.

    The block can be run for the positions whose logits are read alone: no layer comes after it that
    would look at the others, and it treats every position by itself. All variants reach the last
    layer, so of a sweep of L layers this is L + 1 of its L(L+1)/2 + L evaluations: a fifth of them
    for eight layers, one in sixteen for thirty.

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
