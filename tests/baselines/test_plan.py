"""Which items a cell learns from and which it is tested on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asking import ask
from small_models import learnable_task

from talo_export.baselines.methods import METHODS, methods_named, parse_methods
from talo_export.baselines.plan import draw, plan_cells
from talo_export.baselines.work import refuse_leaks
from talo_export.errors import TaloError, UsageError
from talo_export.tasks.splits import split_task


def test_no_item_is_in_training_and_in_the_test() -> None:
    task = learnable_task()
    for seed in range(3):
        one = draw(task, [5, 10, 20], seed)
        tested = {item.group for item in one.test}
        for items in one.train.values():
            assert not tested & {item.group for item in items}


def test_fewer_shots_are_among_the_more_and_share_the_test() -> None:
    one = draw(learnable_task(), [5, 20], 1)
    assert [len(one.train[n]) for n in (5, 20)] == [5, 20]
    assert {item.id for item in one.train[5]} <= {item.id for item in one.train[20]}


def test_a_single_number_of_shots_is_the_split_of_probe() -> None:
    task = learnable_task()
    one, split = draw(task, [20], 2), split_task(task, 20, 2)
    assert (one.train[20], one.test) == (split.probe, split.confirm)


def test_a_test_limit_keeps_items_of_the_test() -> None:
    task = learnable_task()
    few, all_ = draw(task, [20], 0, test_limit=7), draw(task, [20], 0)
    assert len(few.test) == 7
    assert set(few.test) < set(all_.test)


def test_the_base_runs_once_a_seed_and_everything_else_at_every_number_of_shots() -> None:
    task = learnable_task()
    methods = methods_named(["base", "knockout", "lora"])
    cells = plan_cells(ask(task, "base"), methods, [draw(task, [5, 10], s) for s in (0, 1)])
    assert [(c.method, c.shots) for c in cells if c.seed == 0] == [
        ("base", 0), ("knockout", 5), ("lora", 5), ("knockout", 10), ("lora", 10),
    ]  # fmt: skip
    assert len(cells) == 10


def test_a_cell_with_a_test_item_among_its_training_items_is_refused() -> None:
    task = learnable_task()
    request = ask(task, "lora")
    leaking = replace(request, train=(*request.train, request.test[3]))
    with pytest.raises(TaloError, match=request.test[3]):
        refuse_leaks(leaking, {item.id: item for item in task.items})


def test_a_cell_that_shares_a_picture_with_its_test_is_refused() -> None:
    task = learnable_task()
    request = ask(task, "lora")
    items = {item.id: item for item in task.items}
    items[request.test[0]] = replace(items[request.test[0]], group=items[request.train[0]].group)
    with pytest.raises(TaloError, match="in training and in the test"):
        refuse_leaks(request, items)


def test_a_cells_name_changes_with_what_its_outcome_depends_on() -> None:
    request = ask(learnable_task(), "lora")
    assert replace(request, items_file="elsewhere").name == request.name
    for change in ({"seed": 1}, {"model_stamp": "other"}, {"train": request.train[1:]}):
        assert replace(request, **change).name != request.name


def test_methods_come_in_the_tables_order_with_the_base() -> None:
    assert [m.name for m in parse_methods("lora,knockout")] == ["base", "knockout", "lora"]
    assert len(parse_methods("all")) == len(METHODS)


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'lorra'.*lora"):
        parse_methods("knockout,lorra")
