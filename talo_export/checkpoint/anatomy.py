"""The decoder of a checkpoint by the names on disk, whichever of three ways leads to it."""

from __future__ import annotations

from pathlib import Path

from talo_export.checkpoint.foreign import foreign_anatomy, is_foreign
from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.naming import name_parameters, named_on_disk
from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder
from talo_export.models.finding import find_decoder
from talo_export.models.loading import read_config
from talo_export.models.reference import ResolvedModel
from talo_export.models.stock import build_empty
from talo_export.wording import first_line


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
    if is_foreign(layout.config) and not trust_remote_code:
        return foreign_anatomy(layout)
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
