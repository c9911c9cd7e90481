"""From parameters in memory to tensors on disk, by transformers' own rules.

A checkpoint's names are often not the model's: `language_model.model.layers.0...` on disk becomes
`model.language_model.layers.0...` in memory, older uploads have other prefixes than newer ones,
and a converter may split or join tensors on the way. The loader's rules are run here on names
alone, with the model on the meta device: no weight is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from talo_export.checkpoint.conversions import Conversions
from talo_export.checkpoint.formats import parameter_stem
from talo_export.errors import ProofError
from talo_export.models.anatomy import Altered, Decoder, Heads, Layer, Mixer, Piece


@dataclass(frozen=True)
class Naming:
    """Which stored names feed which parameters. A stored name is that of a tensor, or for packed
    weights the name that the tensor would have if it were stored plainly."""

    stored: Mapping[str, tuple[str, ...]]
    """Parameter (by its first name, where tied) -> stored names that it is made of."""
    feeds: Mapping[str, tuple[str, ...]]
    """Stored name -> parameters that are made of it."""
    altered: Mapping[str, tuple[Piece, ...]]
    """Stored names whose values a converter splits, joins or turns on the way to parameters, and
    what they are made of."""
    unused: tuple[str, ...]
    """Tensors that the model's class does not load; they stay as they are."""


def named_on_disk(decoder: Decoder, naming: Naming) -> Decoder:
    """The same decoder with every parameter named as it is on disk. Raises ProofError."""
    return replace(decoder, layers=tuple(_layer(layer, naming) for layer in decoder.layers))


def name_parameters(model: nn.Module, tensors: Iterable[str]) -> Naming:
    """Run the loader's renaming on the names of stored tensors.

    Mirrors `convert_and_load_state_dict_in_model` of transformers: renamings, at most one
    converter, then the base model's prefix added or taken away where that makes a match.
    """
    # Fresh transforms: some of them remember what they have matched.
    transforms: list[Any] = get_model_conversion_mapping(model)
    renamings = [entry for entry in transforms if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in transforms if isinstance(entry, WeightConverter)]
    by_pattern = {pattern: entry for entry in converters for pattern in entry.source_patterns}
    known: dict[str, Any] = model.state_dict()
    first_name = first_names(model)
    conversions = Conversions(model)
    prefix: Any = model.base_model_prefix

    def targets(name: str) -> tuple[str, ...]:
        """The parameters that a stored name feeds."""
        renamed, pattern = rename_source_key(name, renamings, converters, prefix, known)
        if renamed not in known and name in known:
            renamed, pattern = rename_source_key(name, [], [], prefix, known)
        if renamed not in known:
            return ()
        found: tuple[str, ...] = (renamed,)
        if pattern is not None:
            converter = by_pattern[pattern]
            first, *others = converter.target_patterns
            found += tuple(_swapped(renamed, first, other) for other in others)
            pieces = altered[name] = conversions.pieces(converter, found, name)
            # Of a list that is dealt out to several parameters, each tensor feeds one.
            found = tuple(dict.fromkeys(piece.parameter for piece in pieces)) or found
        return tuple(dict.fromkeys(first_name.get(name, name) for name in found))

    stored: dict[str, dict[str, None]] = defaultdict(dict)
    feeds: dict[str, tuple[str, ...]] = {}
    altered: dict[str, tuple[Piece, ...]] = {}
    unused: list[str] = []
    for tensor in sorted(tensors, key=dot_natural_key):
        plain = parameter_stem(tensor) + ".weight"
        for name in dict.fromkeys((tensor, plain)):
            found = targets(name)
            if found:
                break
        else:
            unused.append(tensor)
            continue
        feeds[name] = found
        for parameter in found:
            stored[parameter][name] = None
    return Naming(
        stored={key: tuple(names) for key, names in stored.items()},
        feeds=feeds,
        altered=altered,
        unused=tuple(unused),
    )


def first_names(model: nn.Module) -> dict[str, str]:
    """Every parameter's name -> the first name of the same parameter: tied weights have several."""
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(parameter), name)
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }


def _swapped(name: str, first: str, other: str) -> str:
    """The name of another target of a converter that splits."""
    return name.replace(first.rstrip("$"), other.rstrip("$"), 1)


def _layer(layer: Layer, naming: Naming) -> Layer:
    mixers = tuple(_mixer(mixer, naming) for mixer in layer.mixers)
    mlp_output = _on_disk(layer.mlp_output, naming)
    names = (*mlp_output, *(name for mixer in mixers for name in (*mixer.output, *mixer.inputs)))
    return replace(
        layer,
        mixers=mixers,
        mlp_output=mlp_output,
        altered=tuple(
            Altered(name, naming.altered[name]) for name in names if name in naming.altered
        ),
    )


def _mixer(mixer: Mixer, naming: Naming) -> Mixer:
    """The mixer by its stored names; declined where they hold more than the mixer."""
    output, inputs = _on_disk(mixer.output, naming), _on_disk(mixer.inputs, naming)
    own = {*mixer.output, *mixer.inputs}

    def strangers(name: str) -> list[str]:
        return sorted(set(naming.feeds[name]) - own)

    mingled = tuple(name for name in inputs if strangers(name) or name in output)
    declined = mixer.declined
    for name in output:
        if declined is None and strangers(name):
            declined = f"the stored tensor {name} also feeds {strangers(name)[0]}, which must stay"
        if declined is None and name in inputs:
            declined = f"the stored tensor {name} holds the output projection and its inputs in one"
    return replace(
        mixer,
        output=output,
        inputs=tuple(name for name in inputs if name not in mingled),
        shared=tuple(dict.fromkeys((*_on_disk(mixer.shared, naming), *mingled))),
        declined=declined,
        heads=None if mixer.heads is None else _heads(mixer.heads, naming),
    )


def _heads(heads: Heads, naming: Naming) -> Heads | None:
    """The same by the stored matrix; None where loading makes the matrix of something else."""
    stored = naming.stored.get(heads.weight, ())
    if len(stored) != 1 or stored[0] in naming.altered or len(naming.feeds[stored[0]]) != 1:
        return None
    return replace(heads, weight=stored[0])


def _on_disk(parameters: Iterable[str], naming: Naming) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for parameter in parameters:
        if parameter not in naming.stored:
            raise ProofError(
                f"no stored tensor feeds the parameter {parameter}: the checkpoint is incomplete, "
                "or of a layout that this transformers does not load."
            )
        names |= dict.fromkeys(naming.stored[parameter])
    return tuple(names)
