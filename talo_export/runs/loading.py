"""The model that was asked for, loaded for inference.

What loads is imported late: to verify an export, its base's name is enough.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from talo_export.checkpoint.manifest import Manifest
from talo_export.reporting import Reporter
from talo_export.requests.settings import InferenceSettings, ModelSettings, model_reference

if TYPE_CHECKING:
    from talo_export.models.loading import LoadedModel

Settings = TypeVar("Settings", bound=ModelSettings)


def settle_dtype(settings: Settings, reporter: Reporter) -> Settings:
    """The settings with a number format that this processor does not emulate; says where it acts.

    Raises TaloError where the model cannot be found or read.
    """
    from talo_export.models.dtypes import settled_dtype

    dtype = settled_dtype(
        settings.dtype,
        settings.model_reference,
        device=settings.device,
        device_map=settings.device_map,
        trust_remote_code=settings.trust_remote_code,
    )
    if dtype == settings.dtype:
        return settings
    reporter.note(
        "this processor only emulates the number format the model is stored in: it computes in "
        "float32, which is faster here; --dtype bfloat16 or float16 keeps the format"
    )
    return replace(settings, dtype="float32")


def load_for_inference(settings: InferenceSettings) -> LoadedModel:
    """Load it; a PEFT adapter's directory is loaded on the base it names."""
    from talo_export.models.loading import load_model

    return load_model(
        settings.model_reference,
        dtype=settings.dtype,
        device=settings.device,
        device_map=settings.device_map,
        offload_folder=settings.offload,
        max_memory=settings.max_memory,
        trust_remote_code=settings.trust_remote_code,
    )


def base_reference(manifest: Manifest) -> str:
    """The reference of the base that a manifest names."""
    return revised(manifest.base, manifest.revision)


def revised(name: str, revision: str | None) -> str:
    """The reference of a model by its name in results, and the commit where it is of the Hub."""
    reference = model_reference(name)
    return f"{reference}@{revision}" if revision else reference
