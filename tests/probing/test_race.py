"""Racing in the sweep: who is dropped sees no more items, whatever way the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from talo_export.probing.journal import Journal
from talo_export.probing.race import Race, Standing
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep

LIKELIHOOD = Scoring("likelihood")


def one_less(table):
    """A rule that drops the first layer still in, at every look."""
    seen = [k for k, row in zip(table.variants, table.scored, strict=True) if row.all() and k]
    return Standing(tuple(seen[1:]))


def seen(table):
    return {None if k is None else k.layer: int(n)
            for k, n in zip(table.variants, table.scored.sum(axis=1), strict=True)}  # fmt: skip


@pytest.fixture
def variants(text_model):
    return (None, *all_knockouts(text_model.decoder))


def test_a_dropped_layer_sees_no_more_items_and_costs_nothing(text_model, make_items, variants):
    events = []
    result = sweep(text_model, make_items(6), variants, LIKELIHOOD, race=Race(2, one_less),
                   progress=events.append)  # fmt: skip
    assert seen(result.table) == {None: 6, 0: 2, 1: 4, 2: 6, 3: 6}
    rows = {0: 4, 1: 3, 2: 2, 3: 1, None: 4}
    assert result.cost.layer_evaluations == sum(
        rows[layer] * count for layer, count in seen(result.table).items()
    )
    assert events[-1].done == events[-1].total == 24
    assert events[-1].items_done == events[-1].items == 6


def test_what_was_seen_is_what_a_whole_sweep_says(text_model, make_items, variants):
    items = make_items(6)
    whole = sweep(text_model, items, variants, LIKELIHOOD).table
    raced = sweep(text_model, items, variants, LIKELIHOOD, race=Race(2, one_less)).table
    assert np.allclose(raced.scores[raced.scored], whole.scores[raced.scored], atol=1e-5)
    assert (raced.correct[raced.scored] == whole.correct[raced.scored]).all()


def test_a_race_that_was_stopped_goes_on_alike(tmp_path, text_model, make_items, variants):
    items, race = make_items(6), Race(2, one_less)
    whole = sweep(text_model, items, variants, LIKELIHOOD, race=race).table
    with Journal.open(tmp_path / "scores.sqlite", {}) as journal:

        def stop(event):
            if event.done >= 12:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sweep(text_model, items, variants, LIKELIHOOD, race=race, journal=journal,
                  progress=stop)  # fmt: skip
        rest = sweep(text_model, items, variants, LIKELIHOOD, race=race, journal=journal).table
    assert seen(rest) == seen(whole)
    assert np.array_equal(rest.scores, whole.scores, equal_nan=True)


def test_the_batch_size_does_not_change_who_is_dropped(text_model, make_items, variants):
    tables = [
        sweep(text_model, make_items(6), variants, LIKELIHOOD, race=Race(3, one_less),
              batch_size=size).table
        for size in (1, 5)
    ]  # fmt: skip
    assert np.array_equal(tables[0].scores, tables[1].scores, equal_nan=True)
    assert seen(tables[0]) == {None: 6, 0: 3, 1: 6, 2: 6, 3: 6}


def test_where_nothing_is_left_to_win_the_base_stops_too(text_model, make_items, variants):
    events = []
    result = sweep(text_model, make_items(6), variants, LIKELIHOOD,
                   race=Race(2, lambda table: Standing(())), progress=events.append)  # fmt: skip
    assert result.table.item_ids == tuple(item.id for item in make_items(6)[:2])
    assert set(seen(result.table).values()) == {2}
    assert result.not_reached == 4
    assert events[-1].done == events[-1].total
    assert events[-1].items_done == events[-1].items == 2


def test_a_settled_race_keeps_its_winner_and_ends(text_model, make_items, variants):
    def settle(table):
        return Standing(variants[1:2], settled=len(table.item_ids) == 4)

    result = sweep(text_model, make_items(6), variants, LIKELIHOOD, race=Race(2, settle))
    assert seen(result.table) == {None: 4, 0: 4, 1: 2, 2: 2, 3: 2}
    assert result.not_reached == 2
