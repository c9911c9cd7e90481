"""Racing: the best layer is kept at the stated rate, hopeless ones go, and nothing else matters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from talo_export.errors import UsageError
from talo_export.evidence.racing import evidence_against, race_order, still_racing
from talo_export.knockout import Knockout
from talo_export.probing.scores import Outcome, ScoreTable
from talo_export.tasks.item import Item

BASE = 0


def items_of(count: int) -> list[Item]:
    return [Item(id=f"i{n}", group=f"i{n}", question="?", choices=("a", "b"), answer=0)
            for n in range(count)]  # fmt: skip


def table_of(right: np.ndarray, finite: np.ndarray | None = None) -> ScoreTable:
    """Right answers (variants, items), the base first; -1 for an item not seen."""
    items = items_of(right.shape[1])
    outcomes: dict = {None if row == BASE else Knockout(row - 1): {} for row in range(len(right))}
    for row, variant in enumerate(list(outcomes)):
        for column, item in enumerate(items):
            if right[row, column] >= 0:
                good = finite is None or bool(finite[row, column])
                outcomes[variant][item.id] = Outcome(
                    bool(right[row, column]), True, "a", finite=good
                )
    return ScoreTable.build(items, outcomes)


def shapes(kind: str, generator: np.random.Generator, n: int) -> np.ndarray:
    """Scores of five layers on n items, all of one distribution."""
    if kind == "hard":
        return (generator.random((5, n)) < 0.5).astype(float)
    if kind == "easy":
        return (generator.random((5, n)) < 0.95).astype(float)
    if kind == "nearly alike":
        base = (generator.random(n) < 0.7).astype(float)
        return np.stack([np.where(generator.random(n) < 0.03, 1 - base, base) for _ in range(5)])
    if kind == "sure or not":
        return generator.beta(0.3, 0.3, (5, n))
    base = 0.5 * generator.random(n)
    rare = np.where(generator.random((5, n)) < 0.05, 0.5 * generator.random((5, n)), 0.0)
    return base + rare - 0.01 * generator.random((5, n))


@pytest.mark.parametrize("kind", ["hard", "easy", "nearly alike", "sure or not", "rare gains"])
@pytest.mark.parametrize("n", [40, 120])
def test_the_best_layer_is_dropped_at_most_at_the_stated_rate(kind: str, n: int) -> None:
    # The hardest case: every other layer has the very same mean, the base too.
    generator = np.random.default_rng(0)
    dropped = 0
    for _ in range(100):
        layers = shapes(kind, generator, n)
        equal = [layers[0][generator.permutation(n)] for _ in range(4)]
        scores = np.stack([layers[1], layers[0], *equal])
        scores[BASE] = layers[0][generator.permutation(n)]
        order = generator.permutation(n)
        dropped += int(evidence_against(scores[:, order], BASE, n)[1] >= 1 / 0.1)
    # 10 expected at the most; 18 has a probability of under 1 % even then.
    assert dropped <= 18


def test_a_hopeless_layer_is_dropped_early_and_a_better_one_is_not() -> None:
    generator = np.random.default_rng(2)
    base = (generator.random(200) < 0.7).astype(int)
    bad = (generator.random(200) < 0.2).astype(int)
    good = np.maximum(base, generator.random(200) < 0.2).astype(int)
    table = table_of(np.stack([base, bad, good])[:, :60])
    assert still_racing(table, 200, "accuracy") == (Knockout(1),)


def test_more_evidence_only_ever_adds_up() -> None:
    generator = np.random.default_rng(3)
    scores = generator.random((6, 50))
    found = [evidence_against(scores[:, :seen], BASE, 50) for seen in range(1, 51)]
    assert all((later >= earlier).all() for earlier, later in pairwise(found))


def test_what_cannot_be_caught_up_is_decided_without_doubt() -> None:
    scores = np.array([[1.0] * 20, [0.0] * 20])
    assert evidence_against(scores, BASE, 40)[1] > 1e9
    assert evidence_against(scores[:, :19], BASE, 40)[1] == 1  # not looked at yet


def test_a_layer_that_was_dropped_stays_out_and_a_broken_one_goes() -> None:
    right = np.ones((4, 30), dtype=int)
    right[1, 20:] = -1
    finite = np.ones((4, 30), dtype=bool)
    finite[3, 4] = False
    assert still_racing(table_of(right, finite), 100, "accuracy") == (Knockout(1),)


def test_an_item_that_was_left_out_counts_for_nobody() -> None:
    generator = np.random.default_rng(4)
    right = (generator.random((3, 30)) < [[0.8], [0.1], [0.8]]).astype(int)
    right[:, 7] = -1
    assert still_racing(table_of(right), 60, "accuracy") == (Knockout(1),)


def test_a_score_without_bounds_is_refused() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        still_racing(table_of(np.ones((2, 5), dtype=int)), 9, "margin")


def test_the_order_is_drawn_by_the_seed_alone() -> None:
    items = items_of(50)
    order = [item.id for item in race_order(items, 0)]
    assert order == [item.id for item in race_order(items[::-1], 0)]
    assert order != [item.id for item in race_order(items, 1)]
    assert sorted(order) == sorted(item.id for item in items)
