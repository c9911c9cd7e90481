"""Loading the decoder's matrices as 4-bit NF4 through bitsandbytes, everything else as it is.

The vision tower, the projector, the embeddings and the output head stay in the model's own format:
they are a small part of a large model, and a quantised vision tower would be another experiment.
Settings are QLoRA's (Dettmers et al. 2023, arXiv 2305.14314): NF4 with double quantisation.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedConfig

from talo_export.errors import TaloError
from talo_export.models.finding import find_decoder
from talo_export.models.stock import build_empty

EXTRA = "pip install 'talo-export[4bit]'"


def require_bitsandbytes() -> None:
    """Raise TaloError where it is not installed; nothing of it is imported."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise TaloError(f"--load-in-4bit needs bitsandbytes: {EXTRA}, or leave the option out.")


def nf4_settings(
    config: PreTrainedConfig,
    name: str,
    dtype: torch.dtype | None,
    trust_remote_code: bool = False,
) -> BitsAndBytesConfig:
    """How `from_pretrained` is to quantise the decoder as it loads.

    `dtype` is what the matrices are multiplied in; None is the config's own. Raises TaloError
    where bitsandbytes is not installed, or the checkpoint is stored quantised already.
    """
    require_bitsandbytes()
    stored = getattr(config, "quantization_config", None)
    if stored is not None:
        kind = stored.get("quant_method") if isinstance(stored, dict) else stored.quant_method
        raise TaloError(f"{name} is stored quantised already ({kind}): leave out --load-in-4bit.")
    own = config.dtype or config.get_text_config().dtype or torch.float32
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype or own,
        llm_int8_skip_modules=outside_the_decoder(config, trust_remote_code),
    )


def outside_the_decoder(config: PreTrainedConfig, trust_remote_code: bool = False) -> list[str]:
    """Full paths of the linear maps that are in none of the decoder's layers, from the config."""
    model = build_empty(config, trust_remote_code=trust_remote_code)
    inside = tuple(f"{layer.path}." for layer in find_decoder(model).layers)
    return [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and not path.startswith(inside)
    ]


def keep_trainable(model: nn.Module) -> None:
    """Stop bitsandbytes from laying weights out anew at the first answer on a CPU with AVX-512.

    Its kernel for that layout has no backward pass: a layer in it hands on no gradient, and what
    is trained below it would learn nothing, without an error.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
