"""What earlier runs say about layers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from talo_export.errors import TaloError
from talo_export.evidence.analyses.shots import simulate_selection
from talo_export.evidence.criteria import CRITERIA
from talo_export.evidence.differences import moments_of_subsets
from talo_export.evidence.layer_prior import fit_prior, with_prior


def test_a_prior_recovers_the_planted_mean_and_spread_over_tasks(plant):
    rng = np.random.default_rng(0)
    means, spread = np.array([0.1, 0.0, -0.1]), 0.06
    sweeps = [plant(rng, 400, np.clip(rng.normal(means, spread), -0.4, 0.4)) for _ in range(60)]
    prior = fit_prior(sweeps, "accuracy")
    assert prior.mean == pytest.approx(means, abs=0.03)
    assert np.sqrt(prior.variance) == pytest.approx([spread] * 3, abs=0.025)


def test_many_items_outweigh_the_prior_and_few_do_not(plant):
    rng = np.random.default_rng(0)
    prior = fit_prior([plant(rng, 200, [0.1, -0.1]) for _ in range(8)], "accuracy")
    contrary = plant(rng, 2000, [-0.2, 0.2])
    few = moments_of_subsets(contrary, (np.arange(2000)[None] < 5).astype(float))
    many = moments_of_subsets(contrary, np.ones((1, 2000)))
    assert with_prior(few, prior).accuracy.mean[0, 0] > 0
    assert with_prior(many, prior).accuracy.mean[0, 0] < 0


def test_where_tasks_share_their_layers_a_prior_raises_the_gain_of_few_shots(plant):
    rng = np.random.default_rng(1)
    gains = np.r_[0.12, np.full(19, -0.05)]
    earlier = [plant(rng, 150, gains) for _ in range(10)]
    prior = fit_prior(earlier, "accuracy")
    task = plant(rng, 200, gains)
    rule = CRITERIA["accuracy"]
    alone = simulate_selection(task, 10, rule, runs=400, seed=0)
    informed = simulate_selection(task, 10, rule, runs=400, seed=0, prior=prior)
    assert informed.gain.mean() > alone.gain.mean() + 0.03
    assert informed.hurts < alone.hurts


def test_a_prior_of_one_run_or_of_other_layers_is_an_error(plant):
    rng = np.random.default_rng(0)
    with pytest.raises(TaloError, match="at least two"):
        fit_prior([plant(rng, 20, [0.0])], "accuracy")
    with pytest.raises(TaloError, match="same layers"):
        fit_prior([plant(rng, 20, [0.0]), plant(rng, 20, [0.0, 0.0])], "accuracy")
    text_only = dataclasses.replace(plant(rng, 20, [0.0]), probability=None)
    with pytest.raises(TaloError, match="likelihood"):
        fit_prior([text_only, text_only], "probability")
