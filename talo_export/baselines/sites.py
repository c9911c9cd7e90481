"""Where adapters go: modules inside the decoder, by full path.

PEFT matches names by their ends, and `q_proj` or `fc1` end names in a vision tower as well. So
sites are read off the decoder that `models/` found by structure, and handed to PEFT as a regular
expression of whole paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn
from transformers.pytorch_utils import Conv1D

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder


@dataclass(frozen=True, slots=True)
class Sites:
    """Module paths inside the decoder, in the order of the layers."""

    matrices: tuple[str, ...]
    """Every linear map of the layers: attention and feed-forward."""
    attention_inputs: tuple[str, ...]
    """q, k and v (fused or not)."""
    mlp_outputs: tuple[str, ...]
    """The last projection of each feed-forward block."""
    norms: tuple[str, ...]
    """Norms in the layers, and the one after the last layer."""


def find_sites(model: nn.Module, decoder: Decoder, *, silent_layer: int | None = None) -> Sites:
    """The decoder's sites. `silent_layer`: leave out this layer's attention, which is switched
    off and which an adapter would switch on again.

    Raises TaloError where the decoder has no linear map.
    """
    modules = dict(model.named_modules())
    matrices: list[str] = []
    inputs: list[str] = []
    outputs: list[str] = []
    norms: list[str] = []
    for layer in decoder.layers:
        silenced = [m.path for m in layer.attention] if layer.index == silent_layer else []
        for path in modules:
            if not path.startswith(f"{layer.path}."):
                continue
            if any(path == off or path.startswith(f"{off}.") for off in silenced):
                continue
            if isinstance(modules[path], nn.Linear | Conv1D):
                matrices.append(path)
            elif is_norm(modules[path]):
                norms.append(path)
        for mixer in layer.attention:
            if mixer.path not in silenced:
                inputs += owners(mixer.inputs, modules)
        outputs += owners(layer.mlp_output, modules)
    if not matrices:
        raise TaloError(f"No linear map was found in {decoder.path}: there is nothing to adapt.")
    parent = decoder.path.rpartition(".")[0]
    norms += [
        path
        for path, module in modules.items()
        if path.rpartition(".")[0] == parent and is_norm(module)
    ]
    return Sites(tuple(matrices), tuple(inputs), tuple(outputs), tuple(norms))


def is_norm(module: nn.Module) -> bool:
    """A module without children whose parameters, at least one, are all vectors."""
    own = list(module.parameters(recurse=False))
    return not any(True for _ in module.children()) and bool(own) and all(p.dim() == 1 for p in own)


def owners(parameters: Iterable[str], modules: dict[str, nn.Module]) -> list[str]:
    """Paths of the linear maps that own these parameters, each once."""
    paths = dict.fromkeys(name.rpartition(".")[0] for name in parameters)
    return [path for path in paths if isinstance(modules[path], nn.Linear | Conv1D)]


def pattern(paths: Sequence[str], decoder: Decoder) -> str:
    """A regular expression that fully matches exactly these paths, short enough to read.

    Layers that share a relative path are folded: `model\\.layers\\.(0|1|2)\\.self_attn\\.q_proj`.
    """
    by_name: dict[str, list[str]] = {}
    alone: list[str] = []
    for path in paths:
        index, _, name = path.removeprefix(f"{decoder.path}.").partition(".")
        if path.startswith(f"{decoder.path}.") and index.isdigit() and name:
            by_name.setdefault(name, []).append(index)
        else:
            alone.append(re.escape(path))
    by_layers: dict[tuple[str, ...], list[str]] = {}
    for name, layers in by_name.items():
        by_layers.setdefault(tuple(layers), []).append(re.escape(name))
    folded = [
        rf"{re.escape(decoder.path)}\.({'|'.join(layers)})\.({'|'.join(names)})"
        for layers, names in by_layers.items()
    ]
    return "|".join(f"({part})" for part in [*folded, *alone])
