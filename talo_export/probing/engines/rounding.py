"""Whether two engines gave the same answer, up to the rounding of the number format."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from talo_export.probing.answers import Answered

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
"""Largest distance of two logit vectors, relative to the spread of one. Measured on models run in
other batch shapes: about 1e-6 in float32 and 1e-2 in bfloat16; a wrong engine is off by 0.1 to 1.
"""
AMPLIFIED = 3
"""How many times what a nudge of one rounding step does to the plain way's own answer still counts
as rounding."""


def disagreement(
    fast: Answered, plain: Answered, dtype: torch.dtype, nudged: Answered | None = None
) -> str | None:
    """One phrase saying how `fast` differs from `plain` beyond rounding, None where it does not.

    Compared are the logits after the prompt, the choices' scores, and in full precision the text
    itself (in half precision two tokens of equal logits are common, and either may come first).
    A deep model without one of its first layers can make much of a last bit. `nudged`, the plain
    answer after such a nudge, says how much it is here.
    """
    tolerance = TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
    if fast.outcome.finite != plain.outcome.finite:
        return "one has a NaN or Inf among its logits and the other has not"
    if not plain.outcome.finite:
        return None
    allowed = tolerance
    if nudged is not None:
        allowed = max(allowed, AMPLIFIED * distance(nudged.logits, plain.logits))
    apart = distance(fast.logits, plain.logits)
    if not apart <= allowed:
        return f"their logits are {apart:.2g} of their spread apart"
    if (fast.outcome.scores is None) != (plain.outcome.scores is None):
        return "only one has scores"
    own = 0.0 if nudged is None else AMPLIFIED * largest_change(nudged, plain)
    for score, usual in zip(fast.outcome.scores or (), plain.outcome.scores or (), strict=True):
        if not math.isclose(score, usual, rel_tol=tolerance, abs_tol=max(tolerance, own)):
            return f"a choice scores {score:.6g} and {usual:.6g} nats"
    exact = dtype in (torch.float32, torch.float64)
    if exact and fast.outcome.scores is None and fast.outcome.answer != plain.outcome.answer:
        return f"they say {fast.outcome.answer!r} and {plain.outcome.answer!r}"
    return None


@contextmanager
def nudged_embeddings(model: nn.Module) -> Iterator[None]:
    """The model with every number of its word embeddings off by one rounding step, up or down.

    The same signs each time.
    """

    def nudge(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, output.shape, generator=generator).to(output) * 2 - 1
        return output * (1 + torch.finfo(output.dtype).eps * signs)

    handle = model.get_input_embeddings().register_forward_hook(nudge)
    try:
        yield
    finally:
        handle.remove()


def largest_change(first: Answered, second: Answered) -> float:
    """Largest difference of a choice's scores in nats, 0 where there are none."""
    pairs = zip(first.outcome.scores or (), second.outcome.scores or (), strict=False)
    return max((abs(a - b) for a, b in pairs), default=0.0)


def distance(logits: Tensor, usual: Tensor) -> float:
    """|logits - usual| / |usual - its mean|, Euclidean."""
    first, second = logits.double().cpu(), usual.double().cpu()
    spread = (second - second.mean()).norm().clamp_min(1e-30)
    return float((first - second).norm() / spread)
