"""Intervals and p-values of a paired gain, against theory and against planted truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from talo_export.evidence.paired import Clusters, cluster, gain_interval, sign_flip_p_value


def singles(turned_right: int, turned_wrong: int, unchanged: int) -> Clusters:
    """One item a group."""
    sums = [1.0] * turned_right + [-1.0] * turned_wrong + [0.0] * unchanged
    return Clusters(np.array(sums), np.ones(len(sums), dtype=np.int64))


@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 20))
def test_with_one_item_a_group_the_p_value_is_the_exact_sign_test(up, down, same):
    expected = binomtest(up, up + down, 0.5).pvalue if up + down else 1.0
    assert sign_flip_p_value(singles(up, down, same)) == pytest.approx(expected)


def test_items_that_share_an_image_count_as_one_flip():
    six_items_one_image = cluster(np.ones(6), ["same"] * 6)
    six_images = cluster(np.ones(6), list("abcdef"))
    assert sign_flip_p_value(six_items_one_image) == 1.0
    assert sign_flip_p_value(six_images) == pytest.approx(2 / 64)


def test_the_p_value_of_groups_equals_the_enumeration_of_all_signs():
    sums = np.array([3, -1, 2, 2, 0, 1], dtype=float)
    signs = 1 - 2 * ((np.arange(64)[:, None] >> np.arange(6)) & 1)
    expected = np.mean(np.abs(signs @ sums) >= abs(sums.sum()))
    found = sign_flip_p_value(Clusters(sums, np.full(6, 3)))
    assert found == pytest.approx(expected)


def test_nothing_changed_on_few_items_leaves_a_wide_interval():
    low, high = gain_interval(singles(0, 0, 10), seed=0)
    assert low < -0.1
    assert high > 0.1
    wide = high - low
    low, high = gain_interval(singles(0, 0, 1000), seed=0)
    assert 0 < high - low < wide / 50


def test_three_items_that_all_turned_right_prove_nothing():
    low, high = gain_interval(singles(3, 0, 0), seed=0)
    assert low <= 0
    assert high == 1.0


def test_a_single_group_however_large_proves_nothing():
    low, _ = gain_interval(cluster(np.ones(40), ["one image"] * 40), seed=0)
    assert low <= 0


def test_the_interval_does_not_depend_on_the_order_of_items_or_names_of_groups():
    rng = np.random.default_rng(1)
    change = rng.integers(-1, 2, size=60)
    groups = rng.integers(0, 25, size=60)
    first = gain_interval(cluster(change, [f"g{g}" for g in groups]), seed=3)
    order = rng.permutation(60)
    second = gain_interval(cluster(change[order], [f"x{99 - g}" for g in groups[order]]), seed=3)
    assert first == second


def test_groups_that_move_together_widen_the_interval():
    change = np.repeat([1, 0, 0, 1, -1, 0, 1, 0, 0, 0], 6)
    alone = gain_interval(cluster(change, [str(i) for i in range(60)]), seed=0)
    together = gain_interval(cluster(change, [str(i // 6) for i in range(60)]), seed=0)
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_interval_of_right_and_wrong_swapped_is_the_mirror_image(up, down, same):
    if up + down + same == 0:
        return
    low, high = gain_interval(singles(up, down, same), seed=5, resamples=4000)
    mirror_low, mirror_high = gain_interval(singles(down, up, same), seed=5, resamples=4000)
    slack = 3 / (up + down + same + 2)
    assert low == pytest.approx(-mirror_high, abs=slack)
    assert high == pytest.approx(-mirror_low, abs=slack)
    assert -1 <= low <= high <= 1


@pytest.mark.parametrize(("up", "down"), [(0.1, 0.1), (0.25, 0.25), (0.15, 0.05), (0.3, 0.0)])
@pytest.mark.parametrize("n", [20, 60, 180])
def test_intervals_cover_the_planted_gain_as_often_as_stated(n, up, down):
    """2,000 simulated tasks; the bounds leave three standard errors of the simulation."""
    outcomes, times = np.unique(
        np.random.default_rng(n).multinomial(n, [up, down, 1 - up - down], size=2000),
        axis=0,
        return_counts=True,
    )
    below = above = 0
    for (right, wrong, same), weight in zip(outcomes, times, strict=True):
        low, high = gain_interval(singles(right, wrong, same), seed=0, resamples=1500)
        below += weight * (high < up - down - 1e-12)
        above += weight * (low > up - down + 1e-12)
    assert (below + above) / 2000 <= 0.065
    assert above / 2000 <= 0.035  # an interval too high is a false confirmation
