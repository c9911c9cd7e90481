"""The shared word: what is cut of a model, and what stands in its place.

`models/` carries a knockout out on a live model, `checkpoint/` on bytes on disk; that both give
the same logits is this project's central test. How a knockout is called is here too; nothing else
belongs in this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Scope = Literal["attention", "o_proj", "mlp", "layer"]
"""What is filled: `attention` the q, k, v and output projections with their biases (only those
that no other layer reads); `o_proj` the output projection alone (the same function under `zero`);
`mlp` the feed-forward block's output projection; `layer` attention and feed-forward together."""

Fill = Literal["zero", "uniform", "mean"]
"""What stands in its place: `zero`; `uniform`, every weight 1/d_out and every bias 0; `mean`,
every entry its own tensor's mean. `uniform` and `mean` exist for the float formats only; of experts
stacked in one parameter, d_out is their number."""

_CUT: Mapping[Scope, str] = {
    "attention": "the self-attention",
    "o_proj": "the self-attention's output projection",
    "mlp": "the feed-forward block",
    "layer": "the self-attention and the feed-forward block",
}


@dataclass(frozen=True, slots=True, order=True)
class Knockout:
    """Decoder layers switched off. They count from 0, the one next to the embeddings.

    Raises ValueError where the layers do not ascend.
    """

    layer: int
    """The lowest that is cut: below it the model is its base."""
    scope: Scope = "attention"
    fill: Fill = "zero"
    also: tuple[int, ...] = ()
    """Further layers, ascending."""

    def __post_init__(self) -> None:
        if any(higher <= lower for lower, higher in pairwise(self.layers)):
            raise ValueError(f"the layers {_listed(self.layers)} do not ascend")

    @property
    def layers(self) -> tuple[int, ...]:
        """All that are cut."""
        return (self.layer, *self.also)

    @property
    def label(self) -> str:
        """`layer 12`, `layers 3 and 7`."""
        return self._places("layer")

    @property
    def description(self) -> str:
        """`the self-attention of decoder layers 3 and 7`."""
        return f"{_CUT[self.scope]} of {self._places('decoder layer')}"

    @property
    def place(self) -> str:
        """`12`, `3 and 7`."""
        return _listed(self.layers)

    @property
    def slug(self) -> str:
        """`12`, `3-7`: a part of a name."""
        return "-".join(map(str, self.layers))

    def __str__(self) -> str:
        return f"{self.label} ({self.scope}, {self.fill})"

    def _places(self, noun: str) -> str:
        return f"{noun}{'s' if self.also else ''} {_listed(self.layers)}"


def knockout_of(layers: Iterable[int], scope: Scope = "attention", fill: Fill = "zero") -> Knockout:
    """The knockout of one or several layers, given in any order."""
    first, *others = sorted(set(layers))
    return Knockout(first, scope, fill, tuple(others))


def _listed(names: Sequence[object]) -> str:
    """`3`, `3 and 7`, `3, 7 and 9`."""
    *before, last = map(str, names)
    return f"{', '.join(before)} and {last}" if before else last
