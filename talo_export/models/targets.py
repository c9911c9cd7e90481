"""Which parameters a knockout fills: the one reading of a scope, for memory and disk alike.

`Layer`s of a live model name parameters, those of a checkpoint on disk name tensors; the rules
are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout, Scope
from talo_export.models.anatomy import Altered, Decoder, Layer, Mixer


@dataclass(frozen=True, slots=True)
class Columns:
    """Some inputs of a matrix: what they bring in becomes exactly zero."""

    weight: str
    axis: int
    """The matrix's dimension that counts its inputs."""
    of: int
    """How many inputs it has."""
    inputs: tuple[range, ...]


@dataclass(frozen=True, slots=True)
class Targets:
    """What one knockout fills: some parameters whole, of others only columns."""

    layers: tuple[Layer, ...]
    filled: tuple[str, ...] = ()
    """Whole."""
    outputs: tuple[str, ...] = ()
    """The output projections among them."""
    columns: tuple[Columns, ...] = ()

    @property
    def altered(self) -> tuple[Altered, ...]:
        """Of the layers: stored tensors that loading moves about."""
        return tuple(each for layer in self.layers for each in layer.altered)


def knockout_targets(decoder: Decoder, knockout: Knockout) -> Targets:
    """The names a knockout fills, never empty.

    Raises UsageError for a layer out of range, one without self-attention, or a scope that would
    cut what other layers read; TaloError for an attention that is declined.
    """
    layers = tuple(pick_layer(decoder, index) for index in knockout.layers)
    if knockout.heads:
        cut = zip(layers, knockout.heads, strict=True)
        return Targets(layers, columns=tuple(head_columns(layer, heads) for layer, heads in cut))
    outputs: list[str] = []
    inputs: list[str] = []
    for layer in layers:
        if knockout.scope != "mlp":
            for mixer in attentions(layer, knockout.scope):
                outputs.extend(mixer.output)
                if knockout.scope != "o_proj":
                    inputs.extend(mixer.inputs)
        if knockout.scope in ("mlp", "layer"):
            if not layer.mlp_output:
                raise TaloError(
                    f"layer {layer.index} ({layer.path}) has no feed-forward output projection "
                    "that could be told apart: use --scope attention"
                )
            outputs.extend(layer.mlp_output)
    return Targets(layers=layers, filled=(*inputs, *outputs), outputs=tuple(outputs))


def pick_layer(decoder: Decoder, index: int) -> Layer:
    """Layer `index`, counted from 0. Raises UsageError naming the number of layers."""
    if not 0 <= index < len(decoder):
        raise UsageError(
            f"layer {index} is out of range: {decoder.path} has {len(decoder)} layers, "
            f"0 to {len(decoder) - 1}"
        )
    return decoder.layers[index]


def head_columns(layer: Layer, heads: tuple[int, ...]) -> Columns:
    """The columns of a layer's output projection that read these heads. Raises UsageError for one
    out of range, TaloError where heads cannot be told apart."""
    found = attentions(layer, "o_proj")
    known = found[0].heads
    if len(found) > 1 or known is None:
        raise TaloError(
            f"the attention heads of layer {layer.index} ({found[0].path}) cannot be told apart in "
            "its output projection: cut the whole layer with --layer"
        )
    if not 0 <= heads[0] <= heads[-1] < known.count:
        raise UsageError(
            f"head {heads[0] if heads[0] < 0 else heads[-1]} of layer {layer.index} is out of "
            f"range: its attention has {known.count} heads, 0 to {known.count - 1}"
        )
    return Columns(known.weight, known.axis, known.inputs, known.inputs_of(heads))


def attentions(layer: Layer, scope: Scope) -> tuple[Mixer, ...]:
    """The self-attentions of a layer, where `scope` may cut them. Raises UsageError, TaloError."""
    found = layer.attention
    if not found:
        for mixer in layer.mixers:
            if mixer.kind == "other" and mixer.declined:
                raise TaloError(f"layer {layer.index} cannot be knocked out: {mixer.declined}")
        has = " and ".join(mixer.kind for mixer in layer.mixers) or "no token mixer at all"
        raise UsageError(
            f"layer {layer.index} ({layer.path}) has no self-attention, it has {has}: "
            "choose another layer"
        )
    for mixer in found:
        if mixer.declined:
            raise TaloError(f"layer {layer.index} cannot be knocked out: {mixer.declined}")
        if mixer.shared and scope != "o_proj":
            raise UsageError(
                f"{', '.join(mixer.shared)} of layer {layer.index} is also read elsewhere in the "
                f"model, and --scope {scope} would fill it: use --scope o_proj, the same function "
                "under fill zero"
            )
    return found
