"""What a sweep cost, counted on the layers that really ran.

Every decoder layer and the vision tower count their own calls by the number of rows, so the
numbers describe what happened rather than what an engine believes it did.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from talo_export.models.anatomy import Decoder
from talo_export.models.memory import peak_memory
from talo_export.probing.forwards import Forward, Place, all_replaced

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Cost:
    """The work behind a set of outcomes.

    One layer evaluation = one decoder layer run on one item's prompt (for a variant). A pass over
    later tokens only, reading the prompt from a cache, is no layer evaluation: it is counted in
    `token_evaluations`, one for each layer, row and token. `layer_calls` says how often a layer's
    weights were needed, whatever the number of rows. `layer_evaluations_naive` is what one
    whole forward pass per cell would have taken. `vision_evaluations` counts runs of the vision
    tower, one for each item and run.
    """

    layer_evaluations: int = 0
    layer_evaluations_naive: int = 0
    vision_evaluations: int = 0
    token_evaluations: int = 0
    layer_calls: int = 0
    check_evaluations: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)}
        peak = max(self.peak_memory_bytes, other.peak_memory_bytes)
        return Cost(**{**sums, "peak_memory_bytes": peak})


def side_by_side(costs: Sequence[Cost]) -> Cost:
    """The cost of what several processes did at the same time."""
    return replace(reduce(operator.add, costs, Cost()), seconds=max(cost.seconds for cost in costs))


COUNTED = ("layer_evaluations", "vision_evaluations", "token_evaluations", "layer_calls")


@dataclass
class Meter:
    """Running totals while `metered` is open. Only passes inside `item` count: proofs do not."""

    prompt_length: int | None = None
    layer_evaluations: int = 0
    vision_evaluations: int = 0
    token_evaluations: int = 0
    layer_calls: int = 0
    check_evaluations: int = 0
    naive: int = 0
    started: float = field(default_factory=time.perf_counter)

    @contextmanager
    def item(self, prompt_length: int) -> Iterator[None]:
        """Count what runs inside as work on one item with a prompt of so many tokens."""
        self.prompt_length = prompt_length
        try:
            yield
        finally:
            self.prompt_length = None

    def totals(self) -> dict[str, int]:
        """The counts so far, for `move_aside`."""
        return {name: getattr(self, name) for name in COUNTED}

    def move_aside(self, before: Mapping[str, int]) -> None:
        """Count what ran since `before` as checking: it was done over, or only to compare."""
        self.check_evaluations += self.layer_evaluations - before["layer_evaluations"]
        for name, number in before.items():
            setattr(self, name, number)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Count what runs inside as checking."""
        before = self.totals()
        try:
            yield
        finally:
            self.move_aside(before)

    def layer_counted(self, forward: Forward) -> Forward:
        """A decoder layer's forward that counts its rows and tokens."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.prompt_length is not None:
                # Some stacks carry several streams in front of rows, tokens, width.
                rows, tokens = hidden_argument(args, kwargs).shape[-3:-1]
                if tokens >= self.prompt_length:
                    self.layer_evaluations += rows
                else:
                    self.token_evaluations += rows * tokens
                self.layer_calls += 1
            return forward(*args, **kwargs)

        return counted

    def vision_counted(self, forward: Forward) -> Forward:
        """A way into the vision tower that counts its calls."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.prompt_length is not None:
                self.vision_evaluations += 1
            return forward(*args, **kwargs)

        return counted

    def cost(self, device: torch.device) -> Cost:
        """Totals up to now, with the process's (or the accelerator's) peak memory."""
        return Cost(
            **self.totals(),
            layer_evaluations_naive=self.naive,
            check_evaluations=self.check_evaluations,
            seconds=time.perf_counter() - self.started,
            peak_memory_bytes=peak_memory(device).used,
        )


@contextmanager
def metered(model: nn.Module, decoder: Decoder) -> Iterator[Meter]:
    """Count layer and vision evaluations of `model` until the block ends."""
    import torch

    from talo_export.probing.vision import vision_entries

    meter = Meter()
    places: list[Place] = [
        (model.get_submodule(layer.path), "forward", meter.layer_counted)
        for layer in decoder.layers
    ]
    places += [
        (module, method, meter.vision_counted) for module, method in vision_entries(model, decoder)
    ]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with all_replaced(places):
        yield meter


def hidden_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The hidden states (rows, tokens, width) among a layer's arguments."""
    hidden: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return hidden
