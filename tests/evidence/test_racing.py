"""Racing: who would be chosen is kept at the stated rate, hopeless ones go, all else is equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talo_export.errors import UsageError
from talo_export.evidence.racing import STEP, Contest, race_order
from talo_export.evidence.selection import select
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


def scored_table(margins: np.ndarray) -> ScoreTable:
    """Margins (variants, items) over two choices, the first of which is right; the base first."""
    items = items_of(margins.shape[1])
    return ScoreTable.build(
        items,
        {
            None if row == BASE else Knockout(row - 1): {
                item.id: Outcome(bool(value > 0), True, "a", 0, (float(value), 0.0))
                for item, value in zip(items, values, strict=True)
            }
            for row, values in enumerate(margins)
        },
    )


def contest(n: int, criterion: str = "auto", **more: object) -> Contest:
    return Contest.over(items_of(n), criterion, **more)  # type: ignore[arg-type]


def race(table: ScoreTable, rule: Contest) -> tuple[ScoreTable, int]:
    """What is left of a table after a race through it, and how many cells were scored."""
    scored = table.scored.copy()
    n = seen = scored.shape[1]
    for seen in [*range(STEP, n, STEP), n]:
        standing = rule.standing(replace(table, scored=scored).take_items(np.arange(seen)))
        if standing.settled:
            break
        out = [v is not None and v not in standing.racing for v in table.variants]
        scored[np.array(out), seen:] = False
    return replace(table, scored=scored).take_items(np.arange(seen)), int(scored[:, :seen].sum())


def planted(generator: np.random.Generator, n: int, shift: float) -> np.ndarray:
    """Margins of the base, a layer that is better by `shift`, five level ones, and two broken."""
    base = generator.normal(0.3, 1.0, n)
    level = base + 0.7 * generator.normal(size=(5, n))
    better = base + shift + 0.7 * generator.normal(size=n)
    worse = base - 1.0 + 0.7 * generator.normal(size=(2, n))
    return np.vstack([base, better, level, worse])


@pytest.mark.parametrize("shift", [0.0, 0.12, 0.4])
def test_a_race_chooses_what_the_whole_set_chooses(shift: float) -> None:
    generator = np.random.default_rng(0)
    other, cells, races = 0, 0, 40
    for _ in range(races):
        whole = scored_table(planted(generator, 80, shift))
        ended, seen = race(whole, contest(80, error=0.1))
        other += select(ended).knockout != select(whole).knockout
        cells += seen
    # 4 expected at the most; 10 has a probability of under 1 % even then.
    assert other <= 9
    assert cells < 0.85 * races * whole.scored.size


def resting_on_a_few(generator: np.random.Generator, n: int, noise: str) -> np.ndarray:
    """Margins of the base and twelve layers: one gains much on every twentieth item, others lose.

    What a look at the first items cannot know: most orders have seen none or one of them by then.
    """
    draw = {
        "still": lambda shape: generator.normal(0, 0.02, shape),
        "normal": lambda shape: generator.normal(0, 0.3, shape),
        "heavy": lambda shape: 0.2 * generator.standard_t(2, shape),
    }[noise]
    base = generator.normal(0.5, 1.0, n)
    gains = draw((12, n))
    gains[1:] -= 0.2
    gains[0, generator.permutation(n)[: n // 20]] += 8.0
    return np.vstack([base, base + gains])


@pytest.mark.parametrize("noise", ["still", "normal", "heavy"])
def test_a_choice_that_rests_on_a_few_items_is_lost_no_more_often_than_stated(noise: str) -> None:
    generator = np.random.default_rng(11)
    lost, chosen, races = 0, 0, 40
    for _ in range(races):
        whole = scored_table(resting_on_a_few(generator, 120, noise))
        choice = select(whole).knockout
        chosen += choice is not None
        lost += select(race(whole, contest(120, error=0.1))[0]).knockout != choice
    assert chosen > races / 4  # there is something to lose
    # 4 expected at the most; 10 has a probability of under 1 % even then.
    assert lost <= 9


def test_hopeless_layers_are_dropped_early_and_a_better_one_is_not() -> None:
    generator = np.random.default_rng(2)
    base = (generator.random(200) < 0.7).astype(int)
    bad = (generator.random(200) < 0.2).astype(int)
    good = np.maximum(base, generator.random(200) < 0.2).astype(int)
    table = table_of(np.stack([base, bad, good])[:, :60])
    assert contest(200, "accuracy").standing(table).racing == (Knockout(1),)


def test_a_layer_that_surely_wins_settles_the_race() -> None:
    generator = np.random.default_rng(5)
    margins = planted(generator, 200, 2.0)
    ended, _ = race(scored_table(margins), contest(200))
    assert len(ended.item_ids) < 150
    assert select(ended).knockout == Knockout(0)


def test_where_all_layers_harm_the_race_ends_with_nobody() -> None:
    generator = np.random.default_rng(6)
    base = generator.normal(0.3, 1.0, 200)
    harmed = base - 1.0 + 0.5 * generator.normal(size=(4, 200))
    ended, _ = race(scored_table(np.vstack([base, harmed])), contest(200))
    assert len(ended.item_ids) < 60
    assert select(ended).knockout is None


def test_a_leader_that_may_not_meet_the_demands_drops_nobody() -> None:
    # It ranks far ahead by its margins, but answers no item right that was wrong before.
    generator = np.random.default_rng(7)
    base = generator.normal(1.5, 0.2, 100)
    ahead = base + 3.0 + 0.1 * generator.normal(size=100)
    second = base + 0.5 + 0.1 * generator.normal(size=100)
    table = scored_table(np.vstack([base, ahead, second])[:, :50])
    standing = contest(100, min_gain=0.0).standing(table)
    assert Knockout(1) in standing.racing


def test_a_minimum_gain_is_a_demand() -> None:
    generator = np.random.default_rng(8)
    base = (generator.random(200) < 0.5).astype(int)
    a_little = np.where(np.arange(200) % 25 == 0, 1, base)
    table = table_of(np.stack([base, a_little])[:, :120])
    assert contest(200, "accuracy").standing(table).racing == (Knockout(0),)
    assert contest(200, "accuracy", min_gain=0.2).standing(table).settled


def test_nothing_is_dropped_before_the_first_look_nor_after_the_last_item() -> None:
    few = table_of(np.array([[1] * 15, [0] * 15]))
    assert contest(40, "accuracy").standing(few).racing == (Knockout(0),)
    all_ = table_of(np.array([[1] * 40, [0] * 40]))
    assert contest(40, "accuracy").standing(all_).racing == (Knockout(0),)


def test_a_layer_that_was_dropped_stays_out_and_a_broken_one_goes() -> None:
    right = np.ones((4, 30), dtype=int)
    right[1, 20:] = -1
    finite = np.ones((4, 30), dtype=bool)
    finite[3, 4] = False
    standing = contest(100, "accuracy").standing(table_of(right, finite))
    assert standing.racing == (Knockout(1),)


def test_an_item_that_was_left_out_counts_for_nobody() -> None:
    generator = np.random.default_rng(4)
    right = (generator.random((3, 30)) < [[0.8], [0.1], [0.8]]).astype(int)
    right[:, 7] = -1
    assert contest(60, "accuracy").standing(table_of(right)).racing == (Knockout(1),)


def test_a_criterion_that_one_item_may_decide_is_refused() -> None:
    with pytest.raises(UsageError, match="one item may outweigh"):
        contest(9, "margin")


def test_the_order_is_drawn_by_the_seed_alone() -> None:
    items = items_of(50)
    order = [item.id for item in race_order(items, 0)]
    assert order == [item.id for item in race_order(items[::-1], 0)]
    assert order != [item.id for item in race_order(items, 1)]
    assert sorted(order) == sorted(item.id for item in items)
