"""Score tables built straight from arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


def table_of(
    base: ArrayLike,
    layers: ArrayLike,
    *,
    scores: ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    knockouts: Sequence[Knockout] | None = None,
) -> ScoreTable:
    """A table of right (1) and wrong (0) answers: `base` (N,), `layers` (L, N).

    `scores` is (L+1, N, C) log-likelihoods, the base first; the right choice is always choice 0.
    """
    correct = np.vstack([np.asarray(base, dtype=bool)[None], np.asarray(layers, dtype=bool)])
    variants, n = correct.shape
    kept = tuple(knockouts) if knockouts else tuple(Knockout(k) for k in range(variants - 1))
    return ScoreTable(
        variants=(None, *kept),
        item_ids=tuple(f"item-{i}" for i in range(n)),
        groups=tuple(groups) if groups is not None else tuple(f"group-{i}" for i in range(n)),
        gold=np.zeros(n, dtype=np.int16),
        n_choices=np.full(n, 2, dtype=np.int16),
        scored=np.ones((variants, n), dtype=bool),
        correct=correct,
        parsed=np.ones((variants, n), dtype=bool),
        finite=np.ones((variants, n), dtype=bool),
        choice=np.where(correct, 0, 1).astype(np.int16),
        scores=None if scores is None else np.asarray(scores, dtype=np.float64),
        answers=tuple(tuple("A" if c else "B" for c in row) for row in correct),
    )
