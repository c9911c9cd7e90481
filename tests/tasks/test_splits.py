"""Splits: disjoint, grouped, balanced, and the same everywhere."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talo_export.errors import UsageError
from talo_export.tasks.item import Item, Task
from talo_export.tasks.splits import split_task


def item(number: int, group: str | None = None, letters: int = 4, category: str = "c") -> Item:
    return Item(
        id=f"i{number:04}",
        group=group or f"i{number:04}",
        question="?",
        choices=("w", "x", "y", "z"),
        answer=number % letters,
        category=category,
    )


def task(items: list[Item]) -> Task:
    return Task(name="t", items=tuple(items), source="here")


def test_the_probe_has_exactly_the_shots_and_no_item_is_on_both_sides() -> None:
    split = split_task(task([item(n) for n in range(50)]), shots=20, seed=0)
    assert len(split.probe) == 20
    assert {i.id for i in split.probe}.isdisjoint(i.id for i in split.confirm)
    assert len(split.probe) + len(split.confirm) == 50


def test_letters_and_categories_are_balanced() -> None:
    items = [item(n, category=str(n % 10)) for n in range(400)]
    probe = split_task(task(items), shots=20, seed=3).probe
    assert Counter(i.answer for i in probe) == {0: 5, 1: 5, 2: 5, 3: 5}
    assert set(Counter(i.category for i in probe).values()) == {2}


def test_all_shots_leave_nothing_to_confirm() -> None:
    split = split_task(task([item(n) for n in range(5)]), shots=None, seed=0)
    assert (len(split.probe), split.confirm) == (5, ())


def test_seeds_differ_and_each_draws_the_same_again() -> None:
    items = task([item(n) for n in range(50)])
    first, again, other = (split_task(items, 20, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_a_known_split_stays_as_it_was() -> None:
    # Drawn by hash: a change of platform, Python or library must not move a single item.
    probe = split_task(task([item(n) for n in range(12)]), shots=4, seed=7).probe
    assert [i.id for i in probe] == ["i0004", "i0007", "i0009", "i0010"]


@given(st.permutations(range(12)), st.integers(0, 3))
def test_the_order_of_items_does_not_matter(order: list[int], seed: int) -> None:
    items = [item(n, group=f"g{n // 2}") for n in range(12)]
    shuffled = [items[n] for n in order]
    assert split_task(task(items), 5, seed) == split_task(task(shuffled), 5, seed)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=40), st.integers(0, 5), st.data())
def test_groups_never_straddle(groups: list[int], seed: int, data: st.DataObject) -> None:
    items = task([item(n, group=f"g{g}") for n, g in enumerate(groups)])
    shots = data.draw(st.integers(1, len(groups) - 1))
    try:
        split = split_task(items, shots, seed)
    except UsageError:
        assert min(Counter(groups).values()) > shots
        return
    assert 0 < len(split.probe) <= shots
    assert {i.group for i in split.probe}.isdisjoint(i.group for i in split.confirm)


@pytest.mark.parametrize("shots", [10, 11])
def test_too_few_items_for_the_shots_names_both_numbers(shots: int) -> None:
    with pytest.raises(UsageError, match=f"10 items: {shots} shots leave none"):
        split_task(task([item(n) for n in range(10)]), shots, seed=0)


@pytest.mark.parametrize("shots", [0, -1])
def test_fewer_than_one_shot_is_wrong_usage(shots: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        split_task(task([item(n) for n in range(10)]), shots, seed=0)
