"""Logits where they are read, and nowhere else."""

from __future__ import annotations

import inspect

from torch import nn


def at_last(model: nn.Module, count: int) -> dict[str, int]:
    """Arguments of a forward whose logits are read at the last `count` positions alone.

    None where the model can only compute them all. Vocabularies are large: over a whole prompt
    logits may be most of the memory that a pass takes, and a good part of its time.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    takes = "logits_to_keep" in inspect.signature(inner.forward).parameters
    return {"logits_to_keep": count} if takes else {}
