"""Score tables with planted truth, built straight from arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from talo_export.evidence.differences import Differences
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable

TableMaker = Callable[..., ScoreTable]


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


@pytest.fixture
def make_table() -> TableMaker:
    return table_of


SweepMaker = Callable[..., Differences]


def planted_sweep(
    rng: np.random.Generator,
    n: int,
    gains: Sequence[float],
    *,
    changed: float = 0.2,
    shared: float = 0.0,
    items_a_group: int = 1,
) -> Differences:
    """A sweep whose layers truly gain these shares; `changed` of the answers change.

    A share `shared` of the randomness of each item is common to all layers. With several items a
    group, the items of a group change alike.
    """
    true = np.asarray(gains, dtype=np.float64)
    depth, groups = len(true), n // items_a_group
    own = rng.random((groups, depth))
    common = rng.random((groups, 1))
    luck = np.where(rng.random((groups, depth)) < shared, common, own)
    up = (np.maximum(changed, np.abs(true)) + true) / 2
    down = up - true
    change = np.where(luck < up, 1.0, np.where(luck > 1 - down, -1.0, 0.0))
    members = np.repeat(np.arange(groups), items_a_group)
    # Probability moves with the answer, and a little by itself.
    probability = 0.3 * change[members] + rng.normal(0, 0.05, (len(members), depth))
    return Differences(
        knockouts=tuple(Knockout(layer) for layer in range(depth)),
        members=members,
        base=rng.random(len(members)) < 0.5,
        accuracy=change[members],
        probability=probability,
        margin=4 * probability,
    )


@pytest.fixture
def plant() -> SweepMaker:
    return planted_sweep
