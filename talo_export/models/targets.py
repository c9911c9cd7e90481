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
class Targets:
    """What one knockout fills. `filled` is everything, `outputs` the output projections in it."""

    layers: tuple[Layer, ...]
    filled: tuple[str, ...]
    outputs: tuple[str, ...]

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
