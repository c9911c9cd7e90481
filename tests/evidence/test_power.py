"""How many items it takes."""

from __future__ import annotations

import numpy as np
import pytest

from talo_export.errors import UsageError
from talo_export.evidence.layer_tests import correct_over_layers
from talo_export.evidence.paired import Clusters, sign_flip_p_value
from talo_export.evidence.power import (
    explain_null,
    items_needed,
    power,
    power_of,
    smallest_confirmable,
)


@pytest.mark.parametrize(("n", "gain", "changed"), [(60, 0.1, 0.2), (180, 0.05, 0.15)])
def test_power_is_how_often_simulated_items_are_confirmed(n, gain, changed):
    shares = [(changed + gain) / 2, (changed - gain) / 2, 1 - changed]
    drawn = np.random.default_rng(0).multinomial(n, shares, size=4000)
    kinds, times = np.unique(drawn, axis=0, return_counts=True)
    confirmed = sum(
        times[i]
        for i, (up, down, _) in enumerate(kinds)
        if up > down
        and sign_flip_p_value(
            Clusters(np.array([1.0] * up + [-1.0] * down), np.ones(up + down, dtype=np.int64))
        )
        <= 0.05
    )
    assert confirmed / 4000 == pytest.approx(power(n, gain, changed=changed), abs=0.025)


def test_without_gain_power_is_at_most_half_the_error_rate():
    assert 0 < power(200, 0.0, changed=0.3) <= 0.025


def test_five_items_can_confirm_nothing():
    assert power(5, 1.0, changed=1.0) == 0.0
    assert power(6, 1.0, changed=1.0) == pytest.approx(1.0)
    assert smallest_confirmable(5) is None


def test_the_smallest_confirmable_gain_has_the_stated_power_and_falls_with_n():
    at_100, at_400 = smallest_confirmable(100), smallest_confirmable(400)
    assert at_100 > at_400
    assert power(400, at_400) == pytest.approx(0.8, abs=0.005)


def test_items_needed_is_where_power_reaches_the_stated_chance():
    needed = items_needed(0.05, changed=0.15)
    assert power(needed, 0.05, changed=0.15) >= 0.8
    assert power(int(0.9 * needed), 0.05, changed=0.15) < 0.8


def test_impossible_requests_are_usage_errors():
    with pytest.raises(UsageError):
        power(100, 0.3, changed=0.2)
    with pytest.raises(UsageError):
        items_needed(0.0)


def test_no_layer_means_too_few_items_on_few_and_none_on_many(plant):
    rng = np.random.default_rng(0)
    few = explain_null(correct_over_layers(plant(rng, 30, [-0.05] * 10), seed=0), base_accuracy=0.5)
    assert few.meaning == "too few items"
    assert str(few.items_needed) in few.sentence
    many = explain_null(
        correct_over_layers(plant(rng, 4000, [-0.05] * 10), seed=0), base_accuracy=0.5
    )
    assert many.meaning == "none"


def test_in_the_best_case_fewer_items_confirm_and_six_changes_are_the_least():
    assert smallest_confirmable(5, changed=0.0) is None
    for n in (30, 60, 200):
        gain = smallest_confirmable(n, changed=0.0)
        assert power(n, gain, changed=gain) >= 0.8
        assert power(n, gain - 0.002, changed=gain - 0.002) < 0.8
    assert smallest_confirmable(200, changed=0.0) < smallest_confirmable(200)


def test_the_assumed_share_of_changed_answers_is_no_cap_on_the_gain():
    gain = smallest_confirmable(50)
    assert 0.15 < gain < 0.2
    assert power(50, gain, changed=gain) == pytest.approx(0.8, abs=0.005)
    assert power_of(50).sentence == (
        "with 50 unseen items a gain of 16 points or more will probably be confirmed "
        "(4 chances in 5, if no answer turns wrong)"
    )


def test_the_assumed_share_of_changed_answers_is_stated():
    assert "if 15 % of the answers change)" in power_of(200).sentence
    assert power_of(200).to_json()["changed_share"] == 0.15


def test_too_few_items_for_any_gain_and_none_at_all_are_said_as_such():
    assert power_of(5).sentence == "5 unseen items cannot confirm any gain: it takes six"
    assert "none is left to confirm" in power_of(0).sentence


def null_of(plant, n: int, base: float):
    tests = correct_over_layers(plant(np.random.default_rng(0), n, [0.0] * 10), seed=0)
    return tests, explain_null(tests, base_accuracy=base)


def test_no_layer_could_gain_more_than_the_base_leaves(plant):
    tests, null = null_of(plant, 20, 0.95)
    assert tests.most_any_layer_gains > 0.05
    assert null.most_any_layer_gains == pytest.approx(0.05)
    assert null.meaning == "too few items"
    assert "could still gain 5.0 points, all that the base leaves to gain" in null.sentence


def test_the_items_needed_take_no_more_changes_than_the_base_has_room_for(plant):
    _, high = null_of(plant, 20, 0.95)
    assert high.changed_share == pytest.approx(0.05)
    assert "if no answer turns wrong" in high.sentence
    _, middling = null_of(plant, 20, 0.5)
    assert middling.changed_share == 0.15
    assert high.items_needed < middling.items_needed


def test_a_base_that_answers_everything_right_leaves_nothing_to_gain(plant):
    _, null = null_of(plant, 20, 1.0)
    assert null.meaning == "none"
    assert null.sentence == "The base answers all 20 items right: there is nothing to gain on them."
