"""Many tasks, one false discovery rate."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from results import probe_result

from talo_export.errors import TaloError
from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.discoveries import discover, discover_from
from talo_export.evidence.layer_tests import LayerTest, LayerTests
from talo_export.evidence.paired import Clusters, sign_flip_p_value
from talo_export.knockout import Knockout
from talo_export.runs.meaning import discoveries
from talo_export.runs.result import Evidence, ProbeResult


def confirmation(p_value: float, gain: float) -> Confirmation:
    return Confirmation(
        knockout=Knockout(3),
        n=100,
        groups=100,
        base_accuracy=0.5,
        accuracy=0.5 + gain,
        gain=gain,
        ci95=(gain - 0.1, gain + 0.1),
        level=0.95,
        p_value=p_value,
        turned_right=0,
        turned_wrong=0,
        verdict="unconfirmed",
    )


def test_one_small_p_value_among_fifty_tasks_is_no_discovery():
    many = {f"task-{i}": confirmation((i + 1) / 50, 0.02) for i in range(49)}
    found = discover(many | {"lucky": confirmation(0.03, 0.1)})
    assert found.discovered == 0
    assert discover({"lucky": confirmation(0.03, 0.1)}).discovered == 1


def test_a_significant_loss_takes_part_but_is_no_discovery():
    found = discover({"loses": confirmation(0.0001, -0.2), "gains": confirmation(0.0001, 0.2)})
    assert [task.task for task in found.tasks if task.discovered] == ["gains"]


def test_tasks_that_keep_the_base_are_named(make_table):
    kept = confirm(make_table([1, 0], [[1, 0]]), None, seed=0)
    found = discover({"kept": kept, "gains": confirmation(0.001, 0.2)})
    assert found.kept == ("kept",)
    assert "1 of 2 tasks" in found.sentence
    assert json.loads(json.dumps(found.to_json()))["discovered"] == 1


def test_full_sweeps_of_many_tasks_are_corrected_by_their_best_layers():
    def swept(number: int, p_value: float) -> ProbeResult:
        nothing = LayerTest(0, 0.0, 1.0, 1.0, (-0.1, 0.1))
        best = LayerTest(1, 0.1, p_value, 1.0, (-0.1, 0.3))
        tests = LayerTests("accuracy", 100, 100, 0.95, (nothing, best))
        return probe_result(
            task=f"task-{number}",
            shots=None,
            selected_layer=None,
            confirm=None,
            evidence=Evidence(layer_tests=tests),
        )

    found = discoveries([swept(number, p) for number, p in enumerate([0.001, 0.04, 0.9])])
    assert found is not None
    assert [task.task for task in found.tasks if task.discovered] == ["task-0"]
    assert found.tasks[0].layer == 1
    assert "1 of 3 tasks" in found.sentence
    assert "that were swept" in found.sentence


@pytest.mark.parametrize("real", [0, 5])
def test_the_false_discovery_rate_holds_over_simulated_sets_of_tasks(real):
    """2,000 sets of twenty tasks of 80 unseen items, `real` of them with a gain of 25 points: the
    share of false discoveries among all, on average over the sets."""
    rng = np.random.default_rng(real)
    n, changed, shares, power = 80, 0.35, [], []
    for _ in range(2000):
        gains = np.where(np.arange(20) < real, 0.25, 0.0)
        changes = rng.binomial(n, changed, 20)
        ups = rng.binomial(changes, (changed + gains) / (2 * changed))
        tested = {
            f"{'real' if i < real else 'null'}-{i}": (
                3, n, (2 * up - m) / n, exact_sign_test(int(up), int(m))
            )
            for i, (up, m) in enumerate(zip(ups, changes, strict=True))
        }  # fmt: skip
        found = [task.task for task in discover_from(tested, rate=0.1).tasks if task.discovered]
        false = sum(name.startswith("null") for name in found)
        shares.append(false / max(1, len(found)))
        power.append(len(found) - false)
    assert np.mean(shares) <= 0.1 + 3 * np.std(shares) / 2000**0.5
    if real:
        assert np.mean(power) > 0.8 * real  # a test that finds nothing makes no false discovery


@cache
def exact_sign_test(ups: int, changes: int) -> float:
    sums = np.r_[np.ones(ups), -np.ones(changes - ups)]
    return sign_flip_p_value(Clusters(sums, np.ones(changes, dtype=np.int64)))


def test_no_tasks_is_an_error():
    with pytest.raises(TaloError, match="at least one"):
        discover({})
