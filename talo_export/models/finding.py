"""Finding a model's decoder, by structure: a pure function of its class and its config.

Names of classes, counts of layers and names of parameters are never looked up in a table: the
decoder is the stack that turns token embeddings into the logits, and what a layer's attention is
shows in what it does. Works on meta-device models: no weight is read here.

Libraries are imported when a decoder is looked for: much that is cut on disk names it otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel


def find_decoder(model: nn.Module) -> Decoder:
    """The decoder's layers, in the order hidden states pass them, with their token mixers.

    `model` is a transformers model, on the meta device if you like: none of its weights is read,
    and it is not run. Raises TaloError where no decoder can be told apart.
    """
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise TaloError(f"{type(model).__name__} is no transformers model: its decoder is not read")
    settings = model.config.to_json_string(use_diff=False)
    return _decoder_of(Blueprint(type(model), settings, model.config))


@dataclass(frozen=True)
class Blueprint:
    """All that a model's structure depends on, whatever has been done to its weights."""

    model_class: type[PreTrainedModel]
    settings: str
    """The whole config as JSON."""
    config: PreTrainedConfig = field(compare=False)


@lru_cache(maxsize=64)
def _decoder_of(blueprint: Blueprint) -> Decoder:
    """The decoder of every model built after `blueprint`.

    Traced on the plainest inputs that run all of its layers, or else on the plainest that run.
    Raises TaloError where its code cannot be traced or has no decoder.
    """
    from talo_export.models.structure import read_decoder
    from talo_export.models.tracing import build_twin, traces

    twin = build_twin(blueprint.model_class, blueprint.config)
    best: Decoder | None = None
    for trace in traces(twin):
        decoder = read_decoder(twin, trace)
        if all(layer.reached for layer in decoder.layers):
            return decoder
        best = best or decoder
    if best is None:
        raise TaloError(f"{blueprint.model_class.__name__} has no forward that takes text")
    return best
