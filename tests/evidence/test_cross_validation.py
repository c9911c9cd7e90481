"""Small tasks: the luck of choosing is taken out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from talo_export.errors import UsageError
from talo_export.evidence.cross_validation import cross_validate


def simulate(plant, gains, n, runs):
    rng = np.random.default_rng(8)
    found = []
    for run in range(runs):
        result = cross_validate(plant(rng, n, gains), repeats=4, seed=run, resamples=1000)
        truth = 0.0 if result.layer is None else gains[result.layer]
        low, high = result.ci95 or (0.0, 0.0)
        found.append((result.apparent_gain, result.gain, truth, low <= truth <= high))
    return np.array(found, dtype=float).mean(axis=0)


@pytest.mark.parametrize(
    "gains", [[0.0] * 20, [0.25] + [0.0] * 19, list(np.linspace(-0.15, 0.08, 20))]
)
def test_the_selection_bias_is_corrected_and_the_interval_covers(plant, gains):
    """1,000 simulated tasks each: nothing to find, one layer to find, many layers that harm."""
    apparent, corrected, truth, covered = simulate(plant, gains, n=60, runs=1000)
    assert abs(corrected - truth) < 0.01
    assert covered >= 0.93  # three standard errors of the simulation below 95 %
    if max(gains) < 0.2:
        assert apparent - truth > 0.05  # what is being corrected


def test_groups_are_never_torn_apart(plant):
    """Ten images of six like items: with items torn apart, luck would look confirmed."""
    rng = np.random.default_rng(2)
    gains = [
        cross_validate(
            plant(rng, 60, [0.0] * 20, items_a_group=6, changed=0.4), repeats=4, seed=run
        ).gain
        for run in range(150)
    ]
    assert abs(np.mean(gains)) < 0.03


def test_the_base_is_kept_without_an_interval_where_no_layer_gains(plant):
    result = cross_validate(plant(np.random.default_rng(0), 40, [-0.5, -0.6]), seed=0)
    assert result.layer is None
    assert (result.gain, result.apparent_gain, result.ci95) == (0.0, 0.0, None)
    assert json.loads(json.dumps(result.to_json()))["layer"] is None


def test_a_clear_layer_is_chosen_in_every_fold(plant):
    result = cross_validate(plant(np.random.default_rng(0), 80, [0.0, 0.6, 0.0]), seed=0)
    assert result.layer == 1
    assert result.agreement == 1.0
    assert result.apparent_gain == pytest.approx(result.gain)


def test_more_folds_than_independent_items_is_a_usage_error(plant):
    sweep = plant(np.random.default_rng(0), 12, [0.1], items_a_group=4)
    with pytest.raises(UsageError, match="2 to 3"):
        cross_validate(sweep, folds=5, seed=0)
