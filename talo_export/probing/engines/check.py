"""Whether two engines gave the same answer, up to the rounding of the number format."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from talo_export.probing.answers import Answered

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
"""Largest distance of two logit vectors, relative to the spread of one. Measured on models run in
other batch shapes: about 1e-6 in float32 and 1e-2 in bfloat16; a wrong engine is off by 0.1 to 1.
"""


def disagreement(fast: Answered, plain: Answered, dtype: torch.dtype) -> str | None:
    """One phrase saying how `fast` differs from `plain` beyond rounding, None where it does not.

    Compared are the logits after the prompt, the choices' scores, and in full precision the text
    itself (in half precision two tokens of equal logits are common, and either may come first).
    """
    allowed = TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
    if fast.outcome.finite != plain.outcome.finite:
        return "one has a NaN or Inf among its logits and the other has not"
    if not plain.outcome.finite:
        return None
    apart = distance(fast.logits, plain.logits)
    if not apart <= allowed:
        return f"their logits are {apart:.2g} of their spread apart"
    if (fast.outcome.scores is None) != (plain.outcome.scores is None):
        return "only one has scores"
    for one, other in zip(fast.outcome.scores or (), plain.outcome.scores or (), strict=True):
        if not math.isclose(one, other, rel_tol=allowed, abs_tol=allowed):
            return f"a choice scores {one:.6g} and {other:.6g} nats"
    exact = dtype in (torch.float32, torch.float64)
    if exact and fast.outcome.scores is None and fast.outcome.answer != plain.outcome.answer:
        return f"they say {fast.outcome.answer!r} and {plain.outcome.answer!r}"
    return None


def distance(one: Tensor, other: Tensor) -> float:
    """|one - other| / |other - its mean|, Euclidean."""
    first, second = one.double().cpu(), other.double().cpu()
    spread = (second - second.mean()).norm().clamp_min(1e-30)
    return float((first - second).norm() / spread)
