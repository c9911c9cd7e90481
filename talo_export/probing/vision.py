"""Where a model turns pictures into features."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from talo_export.models.anatomy import Decoder


def vision_entries(model: nn.Module, decoder: Decoder) -> list[tuple[nn.Module, str]]:
    """Where pictures become features: (module, method), nothing for a text model.

    The innermost `get_image_features`, which holds tower and projector; in a model without one,
    the outermost sub-model beside the decoder that takes pixels.
    """
    named = [
        (path, module)
        for path, module in model.named_modules()
        if hasattr(module, "get_image_features")
    ]
    inner = [
        module
        for path, module in named
        if not any(other != path and _is_inside(other, path) for other, _ in named)
    ]
    if inner:
        return [(module, "get_image_features") for module in inner]
    towers: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        beside = path and not _is_inside(decoder.path, path) and not _is_inside(path, decoder.path)
        if beside and not any(_is_inside(path, outer) for outer in towers) and takes_pixels(module):
            towers[path] = module
    return [(tower, "forward") for tower in towers.values()]


def takes_pixels(module: nn.Module) -> bool:
    """Whether a sub-model reads images and no text, by what it says of its inputs."""
    return isinstance(module, PreTrainedModel) and (
        "pixel" in str(module.main_input_name)
        or ("image" in module.input_modalities and "text" not in module.input_modalities)
    )


def _is_inside(path: str, other: str) -> bool:
    """Whether a module path is `other` or below it; "" is the whole model."""
    return not other or path == other or path.startswith(f"{other}.")
