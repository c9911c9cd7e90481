"""Many tasks, one false discovery rate."""

from __future__ import annotations

import json

import numpy as np
import pytest

from talo_export.errors import TaloError
from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.discoveries import discover
from talo_export.knockout import Knockout


def confirmation(p_value: float, gain: float) -> Confirmation:
    return Confirmation(
        knockout=Knockout(3),
        n=100,
        n_groups=100,
        base_accuracy=0.5,
        accuracy=0.5 + gain,
        gain=gain,
        interval=(gain - 0.1, gain + 0.1),
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


def test_the_false_discovery_rate_holds_over_simulated_sets_of_tasks():
    """Twenty tasks, five with a real gain: false discoveries among all, on average over sets."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        real = rng.normal(3.5, 1, 5)
        null = rng.normal(0, 1, 15)
        p_values = _two_sided(np.concatenate([real, null]))
        gains = np.sign(np.concatenate([real, null])) * 0.05
        tasks = {
            f"{'real' if i < 5 else 'null'}-{i}": confirmation(p, g)
            for i, (p, g) in enumerate(zip(p_values, gains, strict=True))
        }
        discovered = [task.task for task in discover(tasks, rate=0.1).tasks if task.discovered]
        false = sum(name.startswith("null") for name in discovered)
        shares.append(false / max(1, len(discovered)))
    assert np.mean(shares) <= 0.1


def _two_sided(z: np.ndarray) -> list[float]:
    from scipy.stats import norm

    return (2 * norm.sf(np.abs(z))).tolist()


def test_no_tasks_is_an_error():
    with pytest.raises(TaloError, match="at least one"):
        discover({})
