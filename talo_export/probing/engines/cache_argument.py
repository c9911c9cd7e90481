"""What a model calls its key/value cache: transformers renamed `past_key_values` to `cache`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from transformers import Cache

NAMES = ("cache", "past_key_values")
"""The newer one first."""


def cache_argument(forward: Callable[..., Any], cache: Cache) -> dict[str, Cache]:
    """The cache as a keyword argument, for a model with this `forward`, of it and of `generate`."""
    parameters = inspect.signature(forward).parameters
    name = next((name for name in NAMES if name in parameters), NAMES[-1])
    return {name: cache}


def cache_of(output: Any) -> Cache | None:
    """The cache in a model's output, None where it holds none."""
    found = (getattr(output, name, None) for name in NAMES)
    return next((cache for cache in found if isinstance(cache, Cache)), None)
