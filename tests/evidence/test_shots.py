"""Simulated selection from one sweep."""

from __future__ import annotations

import json

import numpy as np
import pytest

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.analyses.shots import shots_curve, simulate_selection
from talo_export.evidence.criteria import CRITERIA
from talo_export.evidence.differences import differences, random_subsets
from talo_export.evidence.selection import select


def test_a_probing_set_has_the_stated_size_and_never_tears_a_group(plant):
    sweep = plant(np.random.default_rng(0), 60, [0.0], items_a_group=3)
    drawn = random_subsets(sweep.members, 21, 200, np.random.default_rng(1))
    assert set(drawn.sum(axis=1)) == {21.0}
    by_group = drawn.reshape(200, 20, 3)
    assert (by_group.min(axis=2) == by_group.max(axis=2)).all()
    assert drawn.mean(axis=0) == pytest.approx(21 / 60, abs=0.12)


def test_simulated_selection_agrees_with_select_on_the_same_items(make_table):
    rng = np.random.default_rng(0)
    table = make_table(rng.random(30) < 0.5, rng.random((6, 30)) < 0.55)
    sweep = differences(table)
    trials = simulate_selection(sweep, 12, CRITERIA["accuracy"], runs=40, seed=9)
    drawn = random_subsets(sweep.members, 12, 40, np.random.default_rng(9))
    for run in range(40):
        chosen = select(table.take_items(np.flatnonzero(drawn[run])), criterion="accuracy").knockout
        expected = -1 if chosen is None else chosen.layer
        assert trials.chosen[run] == expected
        unseen = table.take_items(np.flatnonzero(drawn[run] == 0))
        gain = unseen.accuracy[expected + 1] - unseen.accuracy[0] if expected >= 0 else 0.0
        assert trials.gain[run] == pytest.approx(gain)


def test_without_any_good_layer_the_chosen_ones_gain_nothing_on_unseen_items(plant):
    rng = np.random.default_rng(0)
    gains = [
        simulate_selection(
            plant(rng, 100, [0.0] * 20), 20, CRITERIA["accuracy"], runs=50, seed=run
        ).gain.mean()
        for run in range(100)
    ]
    assert abs(np.mean(gains)) < 0.01


def test_a_t_threshold_acts_and_hurts_less_often_where_nothing_helps(plant):
    sweep = plant(np.random.default_rng(0), 100, [-0.03] * 20)
    plain = simulate_selection(sweep, 20, CRITERIA["probability"], runs=500, seed=0)
    strict = simulate_selection(sweep, 20, CRITERIA["probability-t"], runs=500, seed=0)
    assert strict.acts < plain.acts
    assert strict.hurts < plain.hurts


def test_a_curve_rises_with_shots_where_one_layer_helps(plant):
    sweep = plant(np.random.default_rng(0), 200, [0.15] + [-0.02] * 19)
    curve = shots_curve(sweep, shots=(5, 50), criteria=("accuracy",), runs=300)
    few, many = curve.points
    assert many.mean_gain > few.mean_gain
    assert many.regret < few.regret
    assert json.loads(json.dumps(curve.to_json()))["n_items"] == 200


def test_more_shots_than_leave_a_quarter_unseen_are_left_out_and_none_is_an_error(plant):
    sweep = plant(np.random.default_rng(0), 40, [0.1])
    curve = shots_curve(sweep, shots=(10, 35), criteria=("accuracy",), runs=10)
    assert [point.shots for point in curve.points] == [10]
    with pytest.raises(TaloError, match="too few"):
        shots_curve(sweep, shots=(35,), criteria=("accuracy",))
    with pytest.raises(UsageError):
        simulate_selection(sweep, 40, CRITERIA["accuracy"], runs=5, seed=0)
