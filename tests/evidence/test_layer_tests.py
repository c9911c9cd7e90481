"""All layers at once: luck is corrected for, real gains are found."""

from __future__ import annotations

import numpy as np
import pytest

from talo_export.evidence.layer_tests import correct_over_layers


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_without_effect_at_most_a_twentieth_of_sweeps_has_any_significant_layer(plant, shared):
    rng = np.random.default_rng(3)
    runs = 2000
    false = sum(
        correct_over_layers(
            plant(rng, 40, [0.0] * 12, shared=shared), seed=run, permutations=300
        ).best.p_gain
        <= 0.05
        for run in range(runs)
    )
    assert false / runs <= 0.065  # three standard errors above the stated rate


def test_uncorrected_p_values_would_find_luck_in_most_sweeps(plant):
    """The control: what the correction is for."""
    rng = np.random.default_rng(3)
    runs = 100
    luck = 0
    for run in range(runs):
        sweep = plant(rng, 100, [0.0] * 30)
        alone = [
            correct_over_layers(_only(sweep, layer), seed=run, permutations=200).best.p_gain
            for layer in np.argsort(sweep.accuracy.mean(axis=0))[-3:]
        ]
        luck += min(alone) <= 0.05
    assert luck / runs > 0.5


def _only(sweep, layer):
    return type(sweep)(
        knockouts=(sweep.knockouts[layer],),
        members=sweep.members,
        base=sweep.base,
        accuracy=sweep.accuracy[:, [layer]],
        probability=None,
        margin=None,
    )


def test_a_large_gain_is_found_among_eighty_layers(plant):
    gains = [0.0] * 80
    gains[33] = 0.25
    tests = correct_over_layers(plant(np.random.default_rng(0), 150, gains), seed=0)
    assert tests.best.layer == 33
    assert tests.layers[33].p_gain < 0.01
    assert tests.layers[33].simultaneous_interval[0] > 0


def test_a_layer_that_truly_helps_lends_no_significance_to_those_beside_it(plant):
    """2,000 sweeps in which layer 0 gains 30 points and eleven others gain nothing."""
    rng = np.random.default_rng(6)
    found = false = 0
    for run in range(2000):
        tests = correct_over_layers(
            plant(rng, 60, [0.3] + [0.0] * 11, shared=0.5), seed=run, permutations=300
        )
        found += tests.layers[0].p_gain <= 0.05
        false += min(one.p_gain for one in tests.layers[1:]) <= 0.05
    assert found / 2000 > 0.9
    assert false / 2000 <= 0.065


def test_simultaneous_limits_hold_for_all_layers_as_often_as_stated(plant):
    rng = np.random.default_rng(5)
    gains = np.linspace(-0.15, 0.1, 10)
    held, runs = 0, 2000
    for run in range(runs):
        tests = correct_over_layers(plant(rng, 80, gains), seed=run, permutations=300)
        limits = [one.simultaneous_interval for one in tests.layers]
        held += all(low <= gain <= high for (low, high), gain in zip(limits, gains, strict=True))
    assert held / runs >= 0.935  # three standard errors below the stated rate


def test_items_of_one_image_flip_together(plant):
    """Six images of ten items each cannot prove anything over ten layers."""
    sweep = plant(np.random.default_rng(1), 60, [0.9] + [0.0] * 9, items_a_group=10)
    tests = correct_over_layers(sweep, seed=0, permutations=2000)
    assert tests.groups == 6
    assert tests.layers[0].p_change > 0.02


def test_a_layer_that_changes_nothing_has_p_value_one(plant):
    sweep = plant(np.random.default_rng(1), 30, [0.0, 0.0])
    sweep.accuracy[:, 1] = 0
    tests = correct_over_layers(sweep, seed=0, permutations=200)
    assert tests.layers[1].p_change == 1.0
