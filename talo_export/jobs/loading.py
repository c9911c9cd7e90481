"""The model that was asked for, loaded for inference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from talo_export.models.loading import LoadedModel, load_model
from talo_export.requests.settings import InferenceSettings

ADAPTER_CONFIG = "adapter_config.json"


def load_for_inference(settings: InferenceSettings) -> LoadedModel:
    """Load it; a PEFT adapter's directory is loaded on the base it names."""
    adapter = Path(settings.model_reference) / ADAPTER_CONFIG
    if adapter.is_file():
        config = json.loads(adapter.read_text(encoding="utf-8"))
        base, at = config["base_model_name_or_path"], config.get("revision")
        base = f"{base}@{at}" if at else base
        return with_adapter(load_for_inference(replace(settings, model=base)), adapter.parent)
    return load_model(
        settings.model_reference,
        dtype=settings.dtype,
        device=settings.device,
        device_map=settings.device_map,
        offload_folder=settings.offload,
        max_memory=settings.max_memory,
        trust_remote_code=settings.trust_remote_code,
    )


def with_adapter(loaded: LoadedModel, adapter: Path) -> LoadedModel:
    """The same model with a PEFT adapter merged into its weights in memory."""
    from peft import PeftModel

    merged = PeftModel.from_pretrained(loaded.model, str(adapter)).merge_and_unload()
    return replace(loaded, model=merged.eval().requires_grad_(False))
