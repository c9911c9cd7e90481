"""Score tables with planted truth, built straight from arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from score_tables import table_of

from talo_export.evidence.differences import Differences
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable

TableMaker = Callable[..., ScoreTable]


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
