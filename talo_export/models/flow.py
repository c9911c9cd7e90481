"""Labels for what a tensor was computed from, and the record of one forward pass seen that way.

`recorder.py` hands them on from operation to operation; `structure.py` reads a decoder off the
record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Literal, NamedTuple

from torch import nn

MixKind = Literal["softmax", "linear", "convolution", "scan"]


class Flow(NamedTuple):
    """What one tensor was computed from. Sets are bit masks: of nodes, of parameters, of mixes."""

    roots: int = 0
    """Hidden states at whose entry into a layer this began; 0: no activation, a constant."""
    values: int = 0
    """Parameters whose values flowed in."""
    params: int = 0
    """The same, and those that only chose positions (through an argmax, a top-k, a mask)."""
    last: int = 0
    """Parameters of the last projections: where all of them are zero, so is this tensor."""
    mixed: int = 0
    """Mixes of positions that no projection has followed yet."""
    projected: int = 0
    """Mixes followed by a projection, not yet added to the residual stream."""
    score: bool = False
    """A product of activations over positions."""
    weights: bool = False
    """A softmax of scores."""
    chosen: bool = False
    """Integers that came from the input ids."""

    def __or__(self, other: Flow) -> Flow:
        return Flow._make(a | b for a, b in zip(self, other, strict=True))

    @property
    def is_weight(self) -> bool:
        """Made of parameters alone."""
        return not self.roots and bool(self.values)


NOTHING = Flow()


@dataclass
class Mix:
    """One place where positions were mixed. Masks as in `Flow`."""

    kind: MixKind
    stack: tuple[str, ...]
    """Paths of the modules that were running, outermost first."""
    layer: str | None
    source: int
    """Roots of what was mixed: the values, in an attention."""
    inputs: int
    """Parameters that made queries, keys and values."""


class Reads(NamedTuple):
    """What a matrix (a parameter of two dimensions) reads of an attention."""

    axis: int
    """The parameter's dimension that counts the matrix's inputs."""
    heads: tuple[int, ...]
    """The head of each input."""


@dataclass
class Projection:
    """One use of a parameter as a matrix, and the mixes whose result it projected."""

    params: int
    stack: tuple[str, ...]
    layer: str | None
    fresh: int
    """Mixes that no projection had followed yet."""
    mixes: int
    """These, and those already projected."""
    reads: Reads | None = None
    """Which head each input of the matrix reads, where that could be followed."""


@dataclass
class Node:
    """One entry of hidden states into a layer (an element of an outermost module list)."""

    layer: str
    parents: int


@dataclass
class Visit:
    """What a layer made of its hidden states, over all its calls."""

    seen: int = 0
    """Every parameter that anything computed inside depends on."""
    output: Flow = NOTHING


@dataclass
class Trace:
    """Everything seen in one forward pass."""

    names: list[str]
    """Parameter of each bit."""
    mixes: list[Mix] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    visits: dict[str, Visit] = field(default_factory=dict)
    users: dict[int, set[str | None]] = field(default_factory=dict)
    """For each parameter's bit number, the layers in whose course it was used."""
    matrices: int = 0
    """Parameters used as matrices of a product."""
    offsets: int = 0
    """Parameters added to something."""
    biases: list[tuple[int, int]] = field(default_factory=list)
    """(parameters, mixes): added to the projection of these mixes."""
    stepped: set[str] = field(default_factory=set)
    """Modules that took positions out one at a time."""
    logits: Flow = NOTHING

    def named(self, mask: int) -> tuple[str, ...]:
        """The parameters of a mask, in the model's order."""
        return tuple(self.names[bit] for bit in bits(mask))


def union(masks: Iterable[int]) -> int:
    """The bits that are set in any of the masks."""
    return reduce(or_, masks, 0)


def bits(mask: int) -> Iterator[int]:
    """Numbers of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def layer_paths(model: nn.Module) -> dict[str, str]:
    """Path of every element of an outermost module list -> path of the list."""
    lists = [path for path, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    outer = [
        path
        for path in lists
        if not any(path.startswith(f"{other}.") for other in lists if other != path)
    ]
    return {
        f"{path}.{name}": path
        for path in outer
        for name, _ in model.get_submodule(path).named_children()
    }
