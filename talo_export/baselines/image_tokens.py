"""How many tokens of the prompt one picture takes, read from a vision-language model's config."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

A_TILE = (
    "mm_tokens_per_image", "vision_soft_tokens_per_image", "image_seq_length", "image_seq_len",
    "num_query_tokens", "latent_query_num", "resampler_n_latents",
)  # fmt: skip
"""Entries that say it themselves, for one picture or one tile of it."""
MERGED_BY = ("spatial_merge_size", "scale_factor", "pixel_shuffle_factor", "downsample_factor")
"""Entries by which patches are merged into one token, along each side."""
SHRUNK_TO = ("pixel_shuffle_ratio", "downsample_ratio")
"""The same as a share of the side."""
SIDE = 1024
"""Pixels of a side, where the model takes pictures as they are."""


def image_tokens(config: PreTrainedConfig) -> int:
    """The most that one picture takes, 0 where the decoder has no tokens of pictures.

    A picture cut into tiles by the config (`image_grid_pinpoints`) has the tokens of the largest
    grid and of the whole picture; one that only the processor would cut counts as one tile. A
    model that takes any size is given 1,024 by 1,024 pixels.
    """
    vision = getattr(config, "vision_config", None)
    if vision is None or hasattr(config.get_text_config(), "cross_attention_layers"):
        return 0
    return _tile(config, vision) * _tiles(config, vision)


def _tile(config: PreTrainedConfig, vision: Any) -> int:
    stated = _first(A_TILE, config, getattr(config, "perceiver_config", None))
    patch = _side(getattr(vision, "patch_size", None))
    if stated is not None or patch is None:
        return int(stated or 0)
    patches = (_side(getattr(vision, "image_size", None)) or SIDE) // patch
    merged = _first(MERGED_BY, config, vision) or 1
    return math.ceil(patches / merged * (_first(SHRUNK_TO, config, vision) or 1)) ** 2


def _tiles(config: PreTrainedConfig, vision: Any) -> int:
    grids = getattr(config, "image_grid_pinpoints", None)
    side = _side(getattr(vision, "image_size", None))
    if not grids or side is None:
        return 1
    most = max(math.ceil(height / side) * math.ceil(width / side) for height, width in grids)
    limit = re.fullmatch(r"anyres_max_(\d+)", str(getattr(config, "vision_aspect_ratio", "")))
    return 1 + (min(most, int(limit[1])) if limit else most)


def _first(names: Sequence[str], *of: Any) -> Any:
    """The first of these entries that one of the configs has, None where none has."""
    return next(
        (value for name in names for config in of if (value := getattr(config, name, None))), None
    )


def _side(size: Any) -> int | None:
    """The larger of a height and a width; None for what is neither (a list for each stage)."""
    sides = list(size.values()) if isinstance(size, dict) else size
    if isinstance(sides, list | tuple):
        return max(sides) if len(sides) <= 2 else None
    return sides
