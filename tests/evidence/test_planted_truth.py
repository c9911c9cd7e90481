"""The whole way from a probing set to a verdict, thousands of times, with the truth known.

Each run is a task of 20 probing items and 60 unseen ones, on a model of 20 layers whose true gains
were planted. The rule chooses on the probing items, `confirm` judges on the unseen ones. Bounds
leave three standard errors of the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from score_tables import table_of

from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.criteria import CRITERIA, WITH_SCORES, LayerMoments, choose
from talo_export.evidence.paired import cluster, gain_interval
from talo_export.evidence.power import power
from talo_export.evidence.selection import paired_moment
from talo_export.knockout import Knockout

RUNS, PROBED, UNSEEN, CHANGED = 4000, 20, 60, 0.2
NOTHING = (0.0,) * 20
HEADS = (0.0,) * 72
MOSTLY_HARM = tuple(np.linspace(-0.15, 0.05, 20))
ONE_HELPS = (0.2, *(0.0,) * 19)
RULES = sorted({"accuracy", "gain-t", WITH_SCORES})


@dataclass(frozen=True)
class Outcome:
    """Entries are runs in which a layer was chosen."""

    truth: np.ndarray
    """True gain of the chosen layer."""
    apparent: np.ndarray
    """Its gain on the probing items."""
    unseen: tuple[Confirmation, ...]
    """Judged by the unseen items."""
    same: tuple[Confirmation, ...]
    """Judged, wrongly, by the items that chose it."""


@cache
def simulate(gains: tuple[float, ...], rule: str, probed: int = PROBED) -> Outcome:
    """RUNS tasks; half of an item's luck is common to all layers."""
    rng = np.random.default_rng(len(rule))
    probing = changes(rng, probed, gains)
    noise = rng.normal(0, 1, probing.shape)
    accuracy, margin = (
        paired_moment(np.moveaxis(values, 1, -1)) for values in (probing, 2 * probing + noise)
    )
    moments = LayerMoments(accuracy, None, margin)
    chosen = choose(CRITERIA[rule], moments)
    acts = np.flatnonzero(chosen >= 0)
    layer = chosen[acts]
    unseen = changes(rng, UNSEEN, gains)[acts, :, layer]
    same = probing[acts, :, layer]
    return Outcome(
        truth=np.array(gains)[layer],
        apparent=same.mean(axis=1),
        unseen=tuple(judged(row) for row in unseen),
        same=tuple(judged(row) for row in same),
    )


def changes(rng: np.random.Generator, n: int, gains: tuple[float, ...]) -> np.ndarray:
    """(RUNS, n, layers) of 1 (turned right), -1 (turned wrong) and 0."""
    true = np.asarray(gains)
    own = rng.random((RUNS, n, len(true)), dtype=np.float32)
    common = rng.random((RUNS, n, 1), dtype=np.float32)
    luck = np.where(rng.random(own.shape, dtype=np.float32) < 0.5, common, own)
    up = (np.maximum(CHANGED, np.abs(true)) + true) / 2
    return (luck < up).astype(np.int8) - (luck > 1 - (up - true)).astype(np.int8)


def judged(change: np.ndarray) -> Confirmation:
    return verdict(int((change > 0).sum()), int((change < 0).sum()), len(change))


@cache
def verdict(ups: int, downs: int, n: int) -> Confirmation:
    """The product's judgement; items are interchangeable, so counts say it all."""
    before = np.r_[np.zeros(ups), np.ones(n - ups)]
    after = np.r_[np.ones(ups), np.zeros(downs), np.ones(n - ups - downs)]
    return confirm(table_of(before, [after]), Knockout(0), seed=0)


def share(verdicts: tuple[Confirmation, ...], kind: str, among: np.ndarray | None = None) -> float:
    """How many of RUNS have this verdict."""
    kept = np.ones(len(verdicts), dtype=bool) if among is None else among
    return sum(v.verdict == kind for v, k in zip(verdicts, kept, strict=True) if k) / RUNS


def above(rate: float) -> float:
    return rate + 3 * (rate * (1 - rate) / RUNS) ** 0.5


@pytest.mark.parametrize("rule", RULES)
def test_where_no_layer_does_anything_at_most_one_run_in_forty_is_confirmed(rule):
    found = simulate(NOTHING, rule)
    assert len(found.unseen) > RUNS / 4  # the rule is lucky often enough to be judged
    assert share(found.unseen, "confirmed") <= above(0.025)
    assert share(found.unseen, "harmful") <= above(0.025)


def test_among_as_many_heads_there_is_more_luck_and_it_is_confirmed_as_rarely():
    layers, heads = simulate(NOTHING, WITH_SCORES), simulate(HEADS, WITH_SCORES)
    assert len(heads.truth) > len(layers.truth)
    assert share(heads.unseen, "confirmed") <= above(0.025)


@pytest.mark.parametrize("rule", RULES)
def test_where_some_layers_harm_a_layer_that_does_not_help_is_confirmed_as_rarely(rule):
    found = simulate(MOSTLY_HARM, rule)
    assert share(found.unseen, "confirmed", found.truth <= 0) <= above(0.025)


def test_judged_by_the_items_that_chose_it_luck_would_be_confirmed():
    """The control: without unseen items the rate above is exceeded many times over."""
    assert share(simulate(NOTHING, "accuracy", probed=UNSEEN).same, "confirmed") > 0.1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gains", [NOTHING, MOSTLY_HARM, ONE_HELPS], ids=["none", "harm", "one"])
def test_the_interval_covers_the_chosen_layers_true_gain_as_often_as_stated(gains, rule):
    found = simulate(gains, rule)
    low, high = np.array([c.ci95 for c in found.unseen]).T
    runs = len(found.truth)
    covered = ((low <= found.truth) & (found.truth <= high)).mean()
    assert covered >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gains", [NOTHING, MOSTLY_HARM, ONE_HELPS], ids=["none", "harm", "one"])
def test_the_confirmed_gain_is_free_of_the_luck_that_chose_the_layer(gains, rule):
    found = simulate(gains, rule)
    stated = np.array([c.gain for c in found.unseen])
    bias = stated - found.truth
    assert abs(bias.mean()) < 3 * bias.std() / len(bias) ** 0.5
    if gains is not ONE_HELPS:
        assert (found.apparent - found.truth).mean() > 0.05  # what the probing items claim


def test_a_layer_that_helps_is_confirmed_as_often_as_the_power_says():
    found = simulate(ONE_HELPS, WITH_SCORES)
    helps = found.truth > 0
    rate = share(found.unseen, "confirmed", helps) * RUNS / helps.sum()
    assert helps.sum() > RUNS / 5  # often enough to be judged
    assert rate == pytest.approx(power(UNSEEN, ONE_HELPS[0], changed=ONE_HELPS[0]), abs=0.05)


@pytest.mark.parametrize(("images", "gain"), [(25, 0.0), (25, 0.1), (60, 0.1)])
def test_where_items_share_images_the_interval_still_covers(images, gain):
    """2,000 tasks; the three items of an image change together more often than not."""
    rng = np.random.default_rng(images)
    groups = np.repeat(np.arange(images), 3)
    ups, downs = (0.25 + gain) / 2, (0.25 - gain) / 2
    below = above_it = 0
    for _ in range(2000):
        luck = np.where(rng.random(3 * images) < 0.6, rng.random(images)[groups],
                        rng.random(3 * images))  # fmt: skip
        change = (luck < ups).astype(int) - (luck > 1 - downs).astype(int)
        low, high = gain_interval(cluster(change, list(map(str, groups))), seed=0, resamples=1000)
        below += high < gain
        above_it += low > gain
    assert (below + above_it) / 2000 <= 0.065
    assert above_it / 2000 <= 0.036
