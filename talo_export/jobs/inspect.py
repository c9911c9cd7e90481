"""What a checkpoint's decoder is made of, read from its config and file headers alone."""

from __future__ import annotations

from typing import Any

from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.naming import checkpoint_anatomy
from talo_export.jobs.asking import DEMO, model_reference
from talo_export.models.anatomy import Mixer
from talo_export.models.reference import resolve


def run_inspect(model: str | None, *, trust_remote_code: bool = False) -> dict[str, Any]:
    """Layers, mixers, tensors on disk with dtype and bytes, and what can be knocked out."""
    base = resolve(model_reference(model))
    layout = read_layout(base.directory)
    anatomy = checkpoint_anatomy(base.directory, trust_remote_code=trust_remote_code)

    def tensors(mixer: Mixer) -> list[dict[str, Any]]:
        rows = []
        for role, names in (
            ("output", mixer.output),
            ("input", mixer.inputs),
            ("shared", mixer.shared),
        ):
            for name in names:
                located = layout.tensors[name]
                rows.append(
                    {
                        "name": name,
                        "role": role,
                        "file": located.file,
                        "dtype": located.entry.dtype,
                        "shape": list(located.entry.shape),
                        "bytes": located.entry.nbytes,
                    }
                )
        return rows

    return {
        "model": model or DEMO,
        "revision": base.revision,
        "architecture": ", ".join(layout.config.get("architectures") or ["unknown"]),
        "decoder": anatomy.path,
        "layers": [
            {
                "layer": layer.index,
                "mixers": [
                    {"kind": mixer.kind, "declined": mixer.declined, "tensors": tensors(mixer)}
                    for mixer in layer.mixers
                ],
            }
            for layer in anatomy.layers
        ],
        "warnings": list(layout.warnings),
    }
