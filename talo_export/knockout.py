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
that no other layer reads); `o_proj` the output projection alone: under `zero` the same function,
but gradients reach it, so that tuning can switch it on again; `mlp` the feed-forward block's
output projection; `layer` attention and feed-forward together."""

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
_PART: Mapping[Scope, str] = {
    "attention": "'s attention",
    "o_proj": "'s attention output",
    "mlp": "'s feed-forward block",
    "layer": "",
}
_INSTEAD: Mapping[Fill, str] = {"zero": "", "uniform": " made uniform", "mean": " set to its mean"}


def part_of(layer: str, scope: Scope) -> str:
    """What of a layer is cut: `layer 5's attention`, or the whole of it."""
    return layer + _PART[scope]


@dataclass(frozen=True, slots=True, order=True)
class Knockout:
    """Decoder layers switched off, or some attention heads of them.

    Layers count from 0, the one next to the embeddings; heads as the queries do. Raises ValueError
    where they do not ascend, and for heads under another scope or fill than the usual.
    """

    layer: int
    """The lowest that is cut: below it the model is its base."""
    scope: Scope = "attention"
    fill: Fill = "zero"
    also: tuple[int, ...] = ()
    """Further layers, ascending."""
    heads: tuple[tuple[int, ...], ...] = ()
    """The heads of each layer, ascending: filled are the columns of the output projection that
    read them, and nothing else. None: all of what the scope names."""

    def __post_init__(self) -> None:
        for what, numbers in (("layers", self.layers), *(("heads", each) for each in self.heads)):
            if any(higher <= lower for lower, higher in pairwise(numbers)):
                raise ValueError(f"the {what} {_listed(numbers)} do not ascend")
        if self.heads and not (len(self.heads) == len(self.layers) and all(self.heads)):
            raise ValueError(f"heads are named for {len(self.heads)} of {len(self.layers)} layers")
        if self.heads and (self.scope, self.fill) != ("attention", "zero"):
            raise ValueError("heads are cut out of the attention, and by zeros")

    @property
    def layers(self) -> tuple[int, ...]:
        """All that are cut."""
        return (self.layer, *self.also)

    @property
    def label(self) -> str:
        """`layer 12`, `layers 3 and 7`, `heads 0 and 4 of layer 12`."""
        return self._places("layer")

    @property
    def description(self) -> str:
        """`the self-attention of decoder layers 3 and 7`."""
        if self.heads:
            return f"attention {self._places('decoder layer')}"
        return f"{_CUT[self.scope]} of {self._places('decoder layer')}"

    @property
    def without(self) -> str:
        """`without layer 5's attention`; by another fill `with ... made uniform`."""
        how = "without" if self.fill == "zero" else "with"
        part = self.label if self.heads else part_of(self.label, self.scope)
        return f"{how} {part}{_INSTEAD[self.fill]}"

    @property
    def place(self) -> str:
        """`12`, `3 and 7`, `12 (heads 0 and 4)`."""
        if not self.heads:
            return _listed(self.layers)
        pairs = zip(self.layers, self.heads, strict=True)
        return _listed([f"{layer} ({_counted('head', heads)})" for layer, heads in pairs])

    @property
    def slug(self) -> str:
        """`12`, `3-7`, `12-heads-0-4`: a part of a name."""
        parts = [str(layer) for layer in self.layers]
        for at, heads in enumerate(self.heads):
            parts[at] = "-".join((parts[at], "heads", *map(str, heads)))
        return "-".join(parts)

    def to_json(self) -> dict[str, object]:
        """As files have it: `also` and `heads` only where there are any."""
        more = {"also": list(self.also), "heads": [list(heads) for heads in self.heads]}
        cut = {"layer": self.layer, "scope": self.scope, "fill": self.fill}
        return cut | {key: numbers for key, numbers in more.items() if numbers}

    def __str__(self) -> str:
        return f"{self.label} ({self.scope}, {self.fill})"

    def _places(self, noun: str) -> str:
        if not self.heads:
            return _counted(noun, self.layers)
        pairs = zip(self.layers, self.heads, strict=True)
        return _listed([f"{_counted('head', heads)} of {noun} {layer}" for layer, heads in pairs])


def knockout_of(
    layers: Iterable[int] = (),
    scope: Scope = "attention",
    fill: Fill = "zero",
    heads: Mapping[int, Iterable[int]] | None = None,
) -> Knockout:
    """The knockout of one or several layers, or of `heads` by their layers, given in any order.

    Raises ValueError as `Knockout` does.
    """
    first, *others = sorted({*layers, *(heads or ())})
    cut = tuple(tuple(sorted(set(numbers))) for _, numbers in sorted((heads or {}).items()))
    return Knockout(first, scope, fill, tuple(others), cut)


def _counted(noun: str, numbers: Sequence[int]) -> str:
    """`layer 3`, `layers 3 and 7`."""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {_listed(numbers)}"


def _listed(names: Sequence[object]) -> str:
    """`3`, `3 and 7`, `3, 7 and 9`."""
    *before, last = map(str, names)
    return f"{', '.join(before)} and {last}" if before else last
