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


def test_the_best_of_equal_layers_is_dropped_at_most_at_the_stated_rate() -> None:
    # The hardest case: all layers alike, the best ahead by less than one item's worth.
    generator = np.random.default_rng(0)
    dropped = 0
    for _ in range(200):
        scores = (generator.random((5, 40)) < 0.5).astype(float)
        best = 1 + int(scores[1:].mean(axis=1).argmax())
        scores[BASE] = scores[best]
        dropped += int(evidence_against(scores, BASE, 40)[best] >= 1 / 0.2)
    assert dropped <= 0.2 * 200


def test_products_do_not_grow_where_layers_are_equal() -> None:
    # Averaged over all orders of the items the products are at most 1: here over 4000 of them.
    generator = np.random.default_rng(1)
    scores = np.array([[0.0, 1, 0, 1, 1, 0, 0, 1], [1.0, 0, 1, 0, 0, 1, 1, 0]])
    ends = []
    for _ in range(4000):
        order = generator.permutation(8)
        ends.append(evidence_against(scores[:, order[:5]], BASE, 8)[1])
    # `evidence_against` keeps the maximum: Ville bounds how often that reaches 1/a.
    for error in (0.5, 0.2, 0.1):
        assert np.mean(np.array(ends) >= 1 / error) <= error


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
    scores = np.array([[1.0] * 12, [0.0] * 12])
    assert np.isinf(evidence_against(scores, BASE, 20)[1])


def test_a_layer_that_was_dropped_stays_out_and_a_broken_one_goes() -> None:
    right = np.ones((4, 20), dtype=int)
    right[1, 10:] = -1
    finite = np.ones((4, 20), dtype=bool)
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
