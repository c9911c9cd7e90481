"""The decoder of a checkpoint by the names on disk, whichever of three ways leads to it.

Libraries and the ways are imported when one is gone: what was read before is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from talo_export.checkpoint.layout import Layout, read_layout
from talo_export.checkpoint.remembered import remembered
from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder
from talo_export.models.reference import ResolvedModel
from talo_export.wording import first_line


@dataclass(frozen=True)
class ModelKind:
    """What a `config.json` describes; code that the model brings is not run to tell."""

    foreign: bool
    """It asks for code that this transformers does not have."""
    takes_images: bool
    """False too where it is of no decoder."""


def model_kind(config: Mapping[str, Any]) -> ModelKind:
    """What the configuration is of."""
    return remembered("kind", ModelKind, config, lambda: _kind(config))


def _kind(config: Mapping[str, Any]) -> ModelKind:
    from transformers import CONFIG_MAPPING

    from talo_export.models.stock import is_vision_language

    name = config.get("model_type")
    if name not in CONFIG_MAPPING and (name or "auto_map" in config):
        return ModelKind(True, any("vision" in key or "visual" in key for key in config))
    try:
        return ModelKind(
            False, is_vision_language(SimpleNamespace(**{"model_type": None, **config}))
        )
    except TaloError:
        return ModelKind(False, False)


def checkpoint_anatomy(directory: Path, *, trust_remote_code: bool = False) -> Decoder:
    """The decoder of a directory or of one `.gguf` file, every parameter named as it is on disk.

    Module paths stay those in memory; where the model's code is not transformers' own and may not
    run, all is read from names and shapes (`foreign.py`). A mixer whose output projection cannot
    be cut alone, because what is stored also feeds something else, is declined with the reason.
    Raises TaloError where the files or the model are not understood, ProofError where a parameter
    has no tensor.
    """
    layout = read_layout(directory)
    if directory.is_file():
        # The package gguf is an extra; that it is missing has been told by now.
        from talo_export.checkpoint.gguf_files import gguf_anatomy

        return gguf_anatomy(directory)
    if trust_remote_code or "model_type" not in layout.config:
        # Then it depends on more than what is remembered by: on code, or the directory's name.
        return _read(layout, trust_remote_code)
    stored = {name: (at.entry.dtype, at.entry.shape) for name, at in layout.tensors.items()}
    about = [layout.config, stored]
    return remembered("anatomy", Decoder, about, lambda: _read(layout, trust_remote_code))


def _read(layout: Layout, trust_remote_code: bool) -> Decoder:
    if model_kind(layout.config).foreign and not trust_remote_code:
        from talo_export.checkpoint.foreign import foreign_anatomy

        return foreign_anatomy(layout)
    return _by_code(layout, trust_remote_code)


def _by_code(layout: Layout, trust_remote_code: bool) -> Decoder:
    """As the model's code, built without weights, computes."""
    from talo_export.checkpoint.naming import name_parameters, named_on_disk
    from talo_export.models.configs import read_config
    from talo_export.models.finding import find_decoder
    from talo_export.models.stock import build_empty

    directory = layout.directory
    resolved = ResolvedModel(directory, str(directory), None)
    config = read_config(resolved, trust_remote_code)
    count = getattr(config.get_text_config(decoder=True), "num_hidden_layers", 0)
    if isinstance(count, int) and count > len(layout.tensors):
        raise TaloError(f"{directory} claims {count} layers, more than it has tensors.")
    # Packed weights are mapped by the names of the plain parameters they unpack to.
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    try:
        # By name, because a config may ask for an attention that is downloaded code.
        model = build_empty(
            config, trust_remote_code=trust_remote_code, attn_implementation="eager"
        )
    except (ValueError, ImportError, TypeError, AttributeError, RuntimeError) as error:
        raise TaloError(
            f"the model class of {directory} cannot be built from its config alone: "
            f"{first_line(str(error))}"
        ) from error
    return named_on_disk(find_decoder(model), name_parameters(model, layout.tensors))
