"""The model that was asked for, loaded for inference."""

from __future__ import annotations

from talo_export.models.loading import LoadedModel, load_model
from talo_export.requests.settings import InferenceSettings


def load_for_inference(settings: InferenceSettings) -> LoadedModel:
    """Load it; a PEFT adapter's directory is loaded on the base it names."""
    return load_model(
        settings.model_reference,
        dtype=settings.dtype,
        device=settings.device,
        device_map=settings.device_map,
        offload_folder=settings.offload,
        max_memory=settings.max_memory,
        trust_remote_code=settings.trust_remote_code,
    )
