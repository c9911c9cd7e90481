"""The sweep's guarantees: what is computed, what it depends on, and what it says it cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heard import Heard

from talo_export.cli.progress import standing
from talo_export.errors import UsageError
from talo_export.knockout import Knockout
from talo_export.probing.journal import Journal
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep

LIKELIHOOD = Scoring("likelihood")
BOUND = 4 + 4 * 5 // 2
"""Layer evaluations an item of a four-layer model with every layer knocked out in turn."""


def same(one, other):
    return (
        one.variants == other.variants
        and one.item_ids == other.item_ids
        and one.answers == other.answers
        and np.array_equal(one.correct, other.correct)
        and np.array_equal(one.scores, other.scores, equal_nan=True)
    )


def test_every_layer_is_swept_layer_0_too(text_model, make_items):
    knockouts = all_knockouts(text_model.decoder)
    assert [k.layer for k in knockouts] == [0, 1, 2, 3]
    table = sweep(text_model, make_items(2), (None, *knockouts), LIKELIHOOD).table
    assert table.variants == (None, *knockouts)
    assert table.scored.all()
    assert len({tuple(row) for row in table.scores[:, 0]}) == 5


def test_several_layers_at_once_are_swept_the_plain_way_and_their_answers_kept(
    tmp_path, text_model, make_items
):
    items, both = make_items(2), Knockout(0, also=(2,))
    variants = (None, Knockout(0), both, Knockout(1, heads=((0,),)))
    with Journal.open(tmp_path / "scores.sqlite", {}) as journal:
        swept = sweep(text_model, items, variants, LIKELIHOOD, journal=journal)
        again = sweep(text_model, items, variants, LIKELIHOOD, journal=journal)
    assert same(swept.table, sweep(text_model, items, variants, LIKELIHOOD, engine="naive").table)
    assert swept.cost.layer_evaluations == swept.cost.layer_evaluations_naive
    assert again.cost.layer_evaluations == 0
    assert same(again.table, swept.table)
    row = swept.table.row(both)
    assert not np.array_equal(swept.table.scores[row], swept.table.scores[1])


@pytest.mark.parametrize("scoring", [LIKELIHOOD, Scoring(max_new_tokens=3)])
def test_the_batch_size_does_not_change_a_bit(text_model, make_items, scoring):
    items = make_items(5)
    variants = (None, *all_knockouts(text_model.decoder))
    tables = [
        sweep(text_model, items, variants, scoring, batch_size=size).table for size in (1, 2, 5)
    ]
    assert same(tables[0], tables[1])
    assert same(tables[0], tables[2])


def test_an_items_answers_do_not_depend_on_the_other_items(text_model, make_items):
    items = make_items(4)
    variants = (None, Knockout(1))
    whole = sweep(text_model, items, variants, LIKELIHOOD).table
    alone = sweep(text_model, items[2:3], variants, LIKELIHOOD).table
    assert same(alone, whole.take_items([2]))


class Stop(Exception):  # noqa: N818
    """Stands for Ctrl-C or a kill in the middle of a sweep."""


def test_a_sweep_stopped_anywhere_goes_on_with_the_same_result(tmp_path, text_model, make_items):
    items = make_items(5)
    variants = (None, *all_knockouts(text_model.decoder))
    whole = sweep(text_model, items, variants, LIKELIHOOD)
    path = tmp_path / "scores.sqlite"
    for stop_at in (3, 8, 17):
        resumed = []

        def stop(done, total, stop_at=stop_at, resumed=resumed):
            resumed.append(done)
            if done >= stop_at and done > resumed[0]:
                raise Stop

        with Journal.open(path, {}) as journal, pytest.raises(Stop):
            sweep(text_model, items, variants, LIKELIHOOD, journal=journal, batch_size=2,
                  reporter=Heard(stop))  # fmt: skip
    with Journal.open(path, {}) as journal:
        before = sum(map(len, journal.outcomes().values()))
        rest = sweep(text_model, items, variants, LIKELIHOOD, journal=journal, batch_size=2)
    assert before in (5, 10, 15, 20)
    assert rest.cost.layer_evaluations == (25 - before) // 5 * BOUND
    assert same(rest.table, whole.table)


def test_a_kill_in_the_first_item_loses_none_of_its_answers(tmp_path, text_model, make_items):
    items, variants = make_items(3), (None, *all_knockouts(text_model.decoder))
    whole = sweep(text_model, items, variants, LIKELIHOOD)

    def stop(done, total):
        if done == 3:
            raise Stop

    with Journal.open(tmp_path / "scores.sqlite", {}) as journal:
        with pytest.raises(Stop):
            sweep(text_model, items, variants, LIKELIHOOD, journal=journal, reporter=Heard(stop))
        assert sum(map(len, journal.outcomes().values())) == 3
        rest = sweep(text_model, items, variants, LIKELIHOOD, journal=journal)
    assert whole.cost.check_evaluations == 5 * 4
    assert rest.cost.check_evaluations == 2 * 4
    assert same(rest.table, whole.table)


def test_a_finished_journal_costs_nothing_to_read_again(tmp_path, text_model, make_items):
    items, variants = make_items(2), (None, Knockout(0))
    with Journal.open(tmp_path / "scores.sqlite", {}) as journal:
        first = sweep(text_model, items, variants, LIKELIHOOD, journal=journal)
        again = sweep(text_model, items, variants, LIKELIHOOD, journal=journal)
    assert again.cost.layer_evaluations == 0
    assert same(first.table, again.table)


def test_one_journal_serves_the_probe_and_the_confirmation(tmp_path, text_model, make_items):
    items = make_items(4)
    with Journal.open(tmp_path / "scores.sqlite", {}) as journal:
        sweep(text_model, items[:2], (None, Knockout(0), Knockout(1)), LIKELIHOOD, journal=journal)
        confirmed = sweep(text_model, items, (None, Knockout(1)), LIKELIHOOD, journal=journal)
    assert confirmed.cost.layer_evaluations == 2 * (2 * 4 - 1)
    assert confirmed.table.variants == (None, Knockout(1))
    assert confirmed.table.scored.all()


def test_layer_evaluations_are_counted_on_layers_that_ran(text_model, vision_model, make_items):
    text = sweep(text_model, make_items(3), (None, Knockout(2)), LIKELIHOOD).cost
    # A base and one knockout on so few items are run the plain way.
    assert text.layer_evaluations == text.layer_evaluations_naive == 3 * 2 * 4
    assert text.vision_evaluations == 0
    items = make_items(3, pictures=True)
    vision = sweep(vision_model, items, (None, Knockout(2)), LIKELIHOOD).cost
    assert vision.layer_evaluations_naive == 3 * 2 * 3
    assert 3 <= vision.vision_evaluations <= 6


def test_decoded_tokens_are_counted_apart_from_prompts(text_model, make_items):
    cost = sweep(text_model, make_items(1), (None,), Scoring(max_new_tokens=4)).cost
    assert cost.layer_evaluations == 4
    assert cost.token_evaluations <= 3 * 4
    assert cost.token_evaluations % 4 == 0


def test_progress_counts_cells_one_by_one_while_checking_and_reports_running_gains(
    text_model, make_items
):
    heard = Heard()
    items, variants = make_items(3), (None, Knockout(0), Knockout(1))
    table = sweep(text_model, items, variants, LIKELIHOOD, batch_size=1, reporter=heard).table
    events = heard.progress
    assert [event.done for event in events] == [0, 0, 1, 2, 3, 6, 9]
    assert [event.checking for event in events] == [False, *[True] * 4, False, False]
    assert {event.total for event in events} == {9}
    assert [event.items_done for event in events] == [0, 0, 0, 0, 1, 2, 3]
    assert {event.items for event in events} == {3}
    gains = {v: table.accuracy[table.row(v)] - table.accuracy[0] for v in variants[1:]}
    assert events[-1].gains == pytest.approx(gains)


def test_there_is_a_time_left_within_the_first_tenth_even_while_checking(text_model, make_items):
    heard = Heard()
    variants = (None, *all_knockouts(text_model.decoder))
    sweep(text_model, make_items(4), variants, LIKELIHOOD, reporter=heard)
    first = next(event for event in heard.progress if "left" in standing("probing", event, 9.0))
    assert first.checking
    assert first.done <= first.total / 10


def test_requests_without_sense_are_refused(text_model, make_items):
    with pytest.raises(UsageError, match="no items"):
        sweep(text_model, [], (None,), LIKELIHOOD)
    with pytest.raises(UsageError, match="base model"):
        sweep(text_model, make_items(1), (Knockout(0),), LIKELIHOOD)
    with pytest.raises(UsageError, match="batch of 0"):
        sweep(text_model, make_items(1), (None,), LIKELIHOOD, batch_size=0)


def test_a_small_model_is_swept_on_one_thread(text_model, make_items):
    seen = set()
    hook = text_model.model.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        sweep(text_model, make_items(1), (None,), LIKELIHOOD)
        assert seen == {1}
        assert torch.get_num_threads() == 2
    finally:
        hook.remove()
        torch.set_num_threads(before)
