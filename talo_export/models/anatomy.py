"""What a decoder is made of: its layers, and each layer's token mixers, by name.

Names and targets alone are worth having without torch: files are cut with them. `finding.py` says
how they are found in a model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

MixerKind = Literal[
    "self-attention", "cross-attention", "linear-attention", "mamba", "convolution", "other"
]


@dataclass(frozen=True, slots=True)
class Heads:
    """Which inputs of a matrix read which head of an attention."""

    weight: str
    axis: int
    """The matrix's dimension that counts its inputs: 1, or 0 where it is stored transposed."""
    runs: tuple[tuple[int, int], ...]
    """(head, how many inputs) in turn, from the first input on."""

    @property
    def count(self) -> int:
        """How many heads there are."""
        return 1 + max(head for head, _ in self.runs)

    @property
    def inputs(self) -> int:
        """How many inputs the matrix has."""
        return sum(length for _, length in self.runs)

    def inputs_of(self, heads: Collection[int]) -> tuple[range, ...]:
        """The inputs that read these heads, in runs as long as can be."""
        found: list[range] = []
        position = 0
        for head, length in self.runs:
            if head in heads and found and found[-1].stop == position:
                found[-1] = range(found[-1].start, position + length)
            elif head in heads:
                found.append(range(position, position + length))
            position += length
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Mixer:
    """One token mixer of a layer (some layers have two).

    `output` names the parameters of its output projection (weight and bias), `inputs` those of
    q, k, v (fused or not, biases too) that no other layer reads, `shared` those that another layer
    reads and which must therefore stay. All are full parameter names as in `named_parameters()`.
    """

    kind: MixerKind
    path: str
    """Module path inside the model, as in `model.get_submodule(path)`."""
    output: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    declined: str | None = None
    """Why this mixer cannot be knocked out, one sentence; None where it can."""
    heads: Heads | None = None
    """None where they cannot be told apart in what a projection reads."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`elements` elements of a stored tensor, one after another, that become `parameter`'s."""

    parameter: str
    elements: int
    d_out: int | None
    """The parameter's number of output features; None for a bias."""


@dataclass(frozen=True, slots=True)
class Altered:
    """A stored tensor whose values are not a parameter's own, as loading moves them about.

    Its elements are `pieces`, over and over to its end; none where that is not known.
    """

    name: str
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer. `index` counts from 0, next to the embeddings."""

    index: int
    path: str
    mixers: tuple[Mixer, ...]
    mlp_output: tuple[str, ...] = ()
    """Parameters of the feed-forward block's output projection(s)."""
    altered: tuple[Altered, ...] = ()
    """On disk only: those of all these names that loading splits, joins or turns. Zero is zero in
    any form; other fills belong to the parameters."""
    reached: bool = True
    """False where no input that could be made up runs this layer: nothing is known of it."""

    @property
    def attention(self) -> tuple[Mixer, ...]:
        """The self-attentions of this layer, empty where it has none."""
        return tuple(mixer for mixer in self.mixers if mixer.kind == "self-attention")


@dataclass(frozen=True, slots=True)
class Decoder:
    """The stack of layers that produces the logits. `path` is the module list's path."""

    path: str
    layers: tuple[Layer, ...]

    def __len__(self) -> int:
        return len(self.layers)


def prefixed(decoder: Decoder, prefix: str) -> Decoder:
    """The same decoder where `prefix` stands before every path and every parameter's name."""

    def put(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(prefix + name for name in names)

    def mixer(one: Mixer) -> Mixer:
        return replace(
            one, path=prefix + one.path, output=put(one.output), inputs=put(one.inputs),
            shared=put(one.shared),
            heads=one.heads and replace(one.heads, weight=prefix + one.heads.weight),
        )  # fmt: skip

    layers = (
        replace(layer, path=prefix + layer.path, mixers=tuple(map(mixer, layer.mixers)),
                mlp_output=put(layer.mlp_output))
        for layer in decoder.layers
    )  # fmt: skip
    return Decoder(prefix + decoder.path, tuple(layers))
