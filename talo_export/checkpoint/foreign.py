"""The decoder of a checkpoint whose model code is not transformers': from files and config alone.

Nothing that a repository ships is executed here. What its config, the names and the shapes of its
tensors say is enough in two cases, and everything else is declined:

- the config describes its language model as one that transformers knows (`llm_config` with
  `model_type: qwen2`), and the files hold exactly that model's layers, to the last shape;
- every layer has one block whose matrices have the shapes of queries, keys, values and an output,
  and the output has one of the names that output projections have. What reads the keys and values
  is then not known, so only the output projection may be cut.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from talo_export.checkpoint.fills import FLOATS
from talo_export.checkpoint.formats import parameter_stem
from talo_export.checkpoint.layout import Layout, Located
from talo_export.checkpoint.naming import name_parameters, named_on_disk
from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder, Layer, Mixer, prefixed
from talo_export.models.finding import find_decoder

OUTPUT_NAMES = ("o_proj", "out_proj", "dense", "c_proj", "wo", "to_out", "attention_out", "proj")
"""What output projections are called on disk, where shapes alone do not tell them apart."""
LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
WIDTHS = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head", "n_heads")
KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")


def foreign_anatomy(layout: Layout) -> Decoder:
    """The decoder, every parameter named as on disk; module paths are those of the names.

    Raises TaloError where it cannot be told from config, names and shapes.
    """
    classes = (*layout.config.get("auto_map", ()), *(layout.config.get("architectures") or ()))
    if any("MaskedLM" in name for name in classes) and not any("Causal" in n for n in classes):
        raise TaloError(
            f"{layout.directory} is an encoder ({next(n for n in classes if 'MaskedLM' in n)}), in "
            "which every token sees those after it: only decoders that generate text can be cut"
        )
    found = [
        decoder
        for part in _parts(layout.config)
        if part.layers <= len(layout.tensors)
        and (decoder := _known_inside(layout, part) or _by_shapes(layout, part)) is not None
    ]
    if len(found) != 1:
        own = "auto_map" in layout.config
        kind = layout.config.get("model_type")
        raise TaloError(
            f"{layout.directory} "
            + ("brings its own model code" if own else f"is of the unknown model type {kind!r}")
            + ", and which tensors are a layer's attention cannot be told from its config and "
            "files alone: "
            + ("read the code, then pass --trust-remote-code" if own else "upgrade transformers")
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class Part:
    """A (nested) config that may be a language model's, with the sizes that shapes are made of."""

    config: Mapping[str, Any]
    layers: int
    width: int
    queries: int
    """Rows of the query matrix: heads times their size."""
    keys: int
    """Rows of the key and of the value matrix."""
    vocabulary: int


def _parts(config: Mapping[str, Any]) -> Iterator[Part]:
    """The config itself and those in it that have layers, heads and a vocabulary."""
    for candidate in (config, *(value for value in config.values() if isinstance(value, dict))):
        layers, width, heads = (_size(candidate, names) for names in (LAYER_COUNTS, WIDTHS, HEADS))
        vocabulary = _size(candidate, ("vocab_size", "padded_vocab_size"))
        if not (layers and width and heads and vocabulary):
            continue
        size = _size(candidate, ("head_dim", "kv_channels")) or width // heads
        keys = (_size(candidate, KEY_HEADS) or heads) * size
        yield Part(candidate, layers, width, heads * size, keys, vocabulary)


def _size(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """The first of these entries that is a positive number, else 0."""
    values = (config.get(name) for name in names)
    return next((v for v in values if isinstance(v, int) and v > 0), 0)


def _known_inside(layout: Layout, part: Part) -> Decoder | None:
    """The decoder where the files hold, below some prefix, a model that transformers knows."""
    kind = part.config.get("model_type")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "auto_map" in part.config:
        return None
    try:
        config = AutoConfig.for_model(**part.config)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    except (ValueError, TypeError, KeyError, AttributeError, ImportError):
        # Sizes under other names than the class's own: then it is not that class's model.
        return None
    decoder = find_decoder(model)
    for prefix in _prefixes(layout):
        names = {name[len(prefix) :]: name for name in layout.tensors if name.startswith(prefix)}
        naming = name_parameters(model, names)
        if _holds(layout, model, decoder, naming.stored, names):
            return prefixed(named_on_disk(decoder, naming), prefix)
    return None


def _prefixes(layout: Layout) -> list[str]:
    """Every beginning of a tensor's name up to a dot, shortest first."""
    found = {""}
    for name in layout.tensors:
        parts = name.split(".")
        found |= {".".join(parts[:end]) + "." for end in range(1, min(len(parts), 4))}
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _holds(
    layout: Layout,
    model: nn.Module,
    decoder: Decoder,
    stored: Mapping[str, tuple[str, ...]],
    names: Mapping[str, str],
) -> bool:
    """Whether every parameter of the layers is stored, in its shape where it is stored plainly."""
    layers = tuple(f"{layer.path}." for layer in decoder.layers)
    for name, parameter in model.named_parameters():
        if not name.startswith(layers):
            continue
        found = [layout.tensors.get(names.get(each, "")) for each in stored.get(name, ())]
        if not stored.get(name):
            return False
        plain = [one for one in found if one is not None and one.entry.dtype in FLOATS]
        if len(found) == len(plain) == 1 and plain[0].entry.shape != tuple(parameter.shape):
            return False
    return True


def _by_shapes(layout: Layout, part: Part) -> Decoder | None:
    """The decoder where one stack of layers has one block of attention's shapes in every layer."""
    if not any(one.entry.shape == (part.vocabulary, part.width) for one in layout.tensors.values()):
        return None
    decoders = []
    for stack, layers in _stacks(layout, part.layers).items():
        mixers = [_attention(f"{stack}.{index}", layers[index], part) for index in sorted(layers)]
        known = [mixer for mixer in mixers if mixer is not None]
        if known and len(known) == len(mixers):
            decoders.append(
                Decoder(
                    stack,
                    tuple(
                        Layer(index, f"{stack}.{index}", (mixer,))
                        for index, mixer in enumerate(known)
                    ),
                )
            )
    return decoders[0] if len(decoders) == 1 else None


def _stacks(layout: Layout, count: int) -> dict[str, dict[int, dict[str, Located]]]:
    """Name of a stack -> layer -> rest of the name -> tensor, for stacks of `count` layers."""
    stacks: dict[str, dict[int, dict[str, Located]]] = defaultdict(lambda: defaultdict(dict))
    for name, located in layout.tensors.items():
        number = re.match(r"(.*?)\.(\d+)\.(.+)", name)
        if number:
            stacks[number[1]][int(number[2])][number[3]] = located
    return {name: layers for name, layers in stacks.items() if set(layers) == set(range(count))}


def _attention(path: str, tensors: Mapping[str, Located], part: Part) -> Mixer | None:
    """The layer's only block of matrices with attention's shapes, None where there is not one."""
    blocks: dict[str, dict[str, Located]] = defaultdict(dict)
    for name, located in tensors.items():
        if located.entry.dtype not in FLOATS:
            return None
        blocks[name.partition(".")[0]][name] = located
    mixers = [mixer for block, own in blocks.items() if (mixer := _block(path, block, own, part))]
    return mixers[0] if len(mixers) == 1 else None


def _block(path: str, block: str, tensors: Mapping[str, Located], part: Part) -> Mixer | None:
    matrices = {n: one.entry.shape for n, one in tensors.items() if len(one.entry.shape) == 2}
    outputs = [
        name
        for name, shape in matrices.items()
        if shape == (part.width, part.queries)
        and parameter_stem(name).rpartition(".")[2] in OUTPUT_NAMES
    ]
    rows = sorted(shape[0] for name, shape in matrices.items() if name not in outputs)
    wide = all(shape[1] == part.width for name, shape in matrices.items() if name not in outputs)
    fused = [part.queries + 2 * part.keys]
    apart = sorted((part.queries, part.keys, part.keys))
    if len(outputs) != 1 or not wide or rows not in (fused, apart):
        return None
    stem = parameter_stem(outputs[0])
    output = tuple(name for name in (f"{stem}.weight", f"{stem}.bias") if name in tensors)
    owners = {parameter_stem(name) for name in matrices} - {stem}
    inputs = tuple(
        name for owner in sorted(owners) for name in (f"{owner}.weight", f"{owner}.bias")
        if name in tensors
    )  # fmt: skip
    return Mixer(
        kind="self-attention",
        path=f"{path}.{block}",
        output=tuple(f"{path}.{name}" for name in output),
        shared=tuple(f"{path}.{name}" for name in inputs),
    )
