"""Finding a model's decoder: a pure function of its class and its config, so asked only once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from transformers import PreTrainedConfig, PreTrainedModel

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder
from talo_export.models.structure import read_decoder
from talo_export.models.tracing import build_twin, traces


@dataclass(frozen=True)
class Blueprint:
    """All that a model's structure depends on. Equal where class and config are."""

    model_class: type[PreTrainedModel]
    settings: str
    """The whole config as JSON."""
    config: PreTrainedConfig = field(compare=False)


def blueprint_of(model: PreTrainedModel) -> Blueprint:
    """The blueprint of a model, whatever has been done to its weights."""
    return Blueprint(type(model), model.config.to_json_string(use_diff=False), model.config)


@lru_cache(maxsize=64)
def decoder_of(blueprint: Blueprint) -> Decoder:
    """The decoder of every model built after `blueprint`.

    Traced on the plainest inputs that run all of its layers, or else on the plainest that run.
    Raises TaloError where its code cannot be traced or has no decoder.
    """
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
