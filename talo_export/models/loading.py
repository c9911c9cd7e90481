"""Loading a model and its processor, from a local directory or the Hub, for inference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from talo_export.models.anatomy import Decoder


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for inference (eval mode, no gradients), with all that is needed to ask it."""

    model: nn.Module
    """A transformers `PreTrainedModel` with `generate`."""
    processor: Any
    """`AutoProcessor`'s result for a VLM, the tokenizer for a text model."""
    tokenizer: Any
    decoder: Decoder
    directory: Path
    """Where the weights lie on this machine."""
    name: str
    """What the user called it: the path or the Hub id, without `@revision`."""
    revision: str | None
    """The commit the Hub served, None for a local directory."""
    is_vlm: bool


def load_model(
    reference: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load `PATH`, `OWNER/NAME` or either with `@revision`; VLM class where the config is one."""
    raise NotImplementedError
