"""Which of transformers' own classes a config is loaded by, and that class without weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as VISION_LANGUAGE,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
)

from talo_export.errors import TaloError


def is_vision_language(config: Any) -> bool:
    """Whether the config belongs to the image-text-to-text class. TaloError if to neither kind.

    A type in both mappings (Gemma 3) is a VLM where its config describes a vision part; one in
    neither (the text half of Llama 3.2 Vision) is what the class is that its config names.
    """
    auto_map = getattr(config, "auto_map", None) or {}
    kind, name = config.model_type, named_class(config)
    if kind in VISION_LANGUAGE:
        return True
    if "AutoModelForImageTextToText" in auto_map:
        return True
    if is_encoder(config):
        raise TaloError(
            f"model type {kind!r}{f' ({name})' if name else ''} is an encoder, in which tokens see "
            "those after them: only decoders that generate text can be probed"
        )
    if kind in CAUSAL or "AutoModelForCausalLM" in auto_map:
        return False
    if name in CAUSAL.values():
        return False
    if name in VISION_LANGUAGE.values():
        return True
    raise TaloError(
        f"model type {kind!r} is neither a vision-language model (image-text-to-text) nor a "
        "causal language model: only decoders that generate text can be probed"
    )


def is_encoder(config: Any) -> bool:
    """Whether weights are of a class that fills in masks, though its kind can be set to generate.

    BERT and its kin generate with `is_decoder` in their config, or in the class made for that.
    """
    kind = config.model_type
    return (
        kind in CAUSAL
        and kind in MASKED
        and not getattr(config, "is_encoder_decoder", False)
        and getattr(config, "is_decoder", None) is False
        and named_class(config) != CAUSAL[kind]
    )


def stock_class(config: PreTrainedConfig) -> Any:
    """What has the `from_pretrained` that loads a checkpoint with this config.

    The auto class; where the mappings list a class but not under this config (`evolla`,
    `mllama_text_model`), that class itself. Raises TaloError where it generates no text.
    """
    is_vlm = is_vision_language(config)
    auto = AutoModelForImageTextToText if is_vlm else AutoModelForCausalLM
    if type(config) in auto._model_mapping or getattr(config, "auto_map", None):
        return auto
    listed = VISION_LANGUAGE if is_vlm else CAUSAL
    name = named_class(config)
    return getattr(transformers, name) if name in listed.values() else auto


def named_class(config: Any) -> str:
    """The class that the config says its weights are of, empty where it says none."""
    return next(iter(getattr(config, "architectures", None) or ()), "")


def build_empty(
    config: PreTrainedConfig, *, trust_remote_code: bool = False, **options: Any
) -> PreTrainedModel:
    """The model on the meta device: names and shapes without a weight. Raises what its code does.

    `options` are those of `from_config`: `dtype`, `attn_implementation`.
    """
    stock = stock_class(config)
    with torch.device("meta"):
        if hasattr(stock, "from_config"):
            return stock.from_config(config, trust_remote_code=trust_remote_code, **options)
        return stock._from_config(config, **options)
