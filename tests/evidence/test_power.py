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
    smallest_confirmable,
    smallest_one_sided,
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
    few = explain_null(correct_over_layers(plant(rng, 30, [-0.05] * 10), seed=0))
    assert few.meaning == "too few items"
    assert str(few.items_needed) in few.sentence
    many = explain_null(correct_over_layers(plant(rng, 4000, [-0.05] * 10), seed=0))
    assert many.meaning == "none"


def test_in_the_best_case_fewer_items_confirm_and_six_changes_are_the_least():
    assert smallest_one_sided(5) is None
    for n in (30, 60, 200):
        gain = smallest_one_sided(n)
        assert power(n, gain, changed=gain) >= 0.8
        assert power(n, gain - 0.002, changed=gain - 0.002) < 0.8
        usual = smallest_confirmable(n)
        assert usual is None or gain < usual
