"""What a checkpoint's decoder is made of, read from its config and file headers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.foreign import is_foreign
from talo_export.checkpoint.formats import storage_format, stored_tensors
from talo_export.checkpoint.layout import Layout, read_layout
from talo_export.checkpoint.plan import edits_on
from talo_export.checkpoint.verify import holds_fill
from talo_export.errors import TaloError
from talo_export.jobs.asking import model_reference
from talo_export.jobs.task_words import DEMO
from talo_export.knockout import Knockout, Scope
from talo_export.models.anatomy import Decoder, Mixer
from talo_export.models.reference import resolve

SCOPES: tuple[Scope, ...] = ("attention", "o_proj")


def run_inspect(model: str | None, *, trust_remote_code: bool = False) -> dict[str, Any]:
    """Layers, mixers, tensors on disk with dtype and bytes, and what can be knocked out."""
    base = resolve(model_reference(model))
    layout = read_layout(base.place)
    anatomy = checkpoint_anatomy(base.place, trust_remote_code=trust_remote_code)
    warnings = list(layout.warnings)
    if is_foreign(layout.config) and not trust_remote_code:
        warnings.append(
            "the model's own code was not run: layers and tensors are told from config, names and "
            "shapes, and no proof by logits is possible without --trust-remote-code."
        )
    return {
        "model": model or DEMO,
        "revision": base.revision,
        "architecture": ", ".join(layout.config.get("architectures") or [architecture(base.place)]),
        "storage": declared_storage(layout),
        "decoder": anatomy.path,
        "layers": [
            {
                "layer": layer.index,
                "knockout": {scope: refusal(layout, anatomy, layer.index, scope)
                             for scope in SCOPES},
                "cut": is_cut(layout, anatomy, layer.index),
                "mixers": [
                    {
                        "kind": mixer.kind,
                        "declined": mixer.declined,
                        "tensors": tensors(layout, mixer),
                    }
                    for mixer in layer.mixers
                ],
            }
            for layer in anatomy.layers
        ],
        "warnings": warnings,
    }  # fmt: skip


def architecture(place: Path) -> str:
    """What a GGUF file calls its architecture; a directory's stands in its config or nowhere."""
    if not place.is_file():
        return "unknown"
    from talo_export.checkpoint.gguf_header import read_gguf

    return str(read_gguf(place).fields.get("general.architecture", "unknown"))


def declared_storage(layout: Layout) -> str:
    """The number format, in the config's own words where it is none that can be cut."""
    try:
        return storage_format(layout.config)
    except TaloError:
        return str(layout.config.get("quantization_config"))


def refusal(layout: Layout, anatomy: Decoder, layer: int, scope: Scope) -> str | None:
    """Why `export` would refuse this layer and scope, None where it would not."""
    try:
        edits_on(layout, storage_format(layout.config), Knockout(layer, scope), anatomy)
    except TaloError as error:
        return str(error)
    return None


def is_cut(layout: Layout, anatomy: Decoder, layer: int) -> bool:
    """Whether the layer's attention puts out nothing as it is: its output projections are zero.

    Of a layer that is not cut, only the first bytes are read.
    """
    try:
        edits = edits_on(layout, storage_format(layout.config), Knockout(layer, "o_proj"), anatomy)
    except TaloError:
        return False
    return bool(edits) and all(holds_fill(layout.source(edit.file), edit) for edit in edits)


def tensors(layout: Layout, mixer: Mixer) -> list[dict[str, Any]]:
    """What is stored of a mixer's projections."""
    return [
        {
            "name": located.entry.name,
            "role": role,
            "file": located.file,
            "dtype": located.entry.dtype,
            "shape": list(located.entry.shape),
            "bytes": located.entry.nbytes,
        }
        for role, names in (
            ("output", mixer.output),
            ("input", mixer.inputs),
            ("shared", mixer.shared),
        )
        for name in names
        for located in stored_tensors(layout, name)
    ]
