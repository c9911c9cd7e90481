"""Early stopping, and where one method overtakes another."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from asking import ask
from small_models import learnable_task

from talo_export.baselines.break_even import break_even, crossing
from talo_export.baselines.request import CellRequest, CellResult
from talo_export.baselines.settings import Training
from talo_export.baselines.summary import summarise
from talo_export.baselines.training import divergence, finished
from talo_export.baselines.verdict import verdicts
from talo_export.errors import UsageError
from talo_export.tasks.item import Task


def test_training_ends_where_nothing_is_left_to_learn() -> None:
    training = Training(patience=2, enough=0.01)
    assert not finished([1.0, 0.5], training)
    assert finished([1.0, 0.009], training)
    assert not finished([1.0, 0.5, 0.6], training)
    assert finished([1.0, 0.5, 0.6, 0.55], training)


def test_a_loss_that_is_none_or_far_above_the_bases_has_diverged() -> None:
    assert divergence([1.0, 2.9]) is None
    assert "rose from 1.00 to 3.10" in str(divergence([1.0, 3.1]))
    assert "nan" in str(divergence([1.0, math.nan]))


def test_settings_without_sense_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match="--batch-size"):
        Training(batch_size=0)
    with pytest.raises(UsageError, match="--lr"):
        Training(learning_rate=-1.0)


def test_a_crossing_lies_on_the_line_over_the_logarithm_of_the_shots() -> None:
    assert crossing(np.array([-0.1, 0.1]), [10, 40]) == pytest.approx(20)
    assert crossing(np.array([0.0, -0.1]), [10, 40]) == 10
    assert crossing(np.array([-0.2, -0.1]), [10, 40]) == math.inf


def planted(
    task: Task, right: dict[tuple[str, int], float], seeds: int = 3
) -> tuple[list[CellRequest], dict[str, CellResult]]:
    """Cells in which a method answers that share of the test items rightly, the first ones."""
    requests, results = [], {}
    for (method, shots), share in right.items():
        for seed in range(seeds):
            request = ask(task, method, shots=24, seed=seed)
            request = replace(request, shots=shots)
            known = round(share * len(request.test))
            correct = {id_: i < known for i, id_ in enumerate(request.test)}
            requests.append(request)
            results[request.name] = CellResult("done", correct=correct)
    return requests, results


def test_the_break_even_point_is_stated_with_its_uncertainty() -> None:
    task = learnable_task(60)
    shares = {("knockout", 10): 0.5, ("knockout", 40): 0.5, ("lora", 10): 0.3, ("lora", 40): 0.7}
    found = break_even(task, *planted(task, shares), method="lora")
    assert found is not None
    assert found.estimate == pytest.approx(20, rel=0.1)
    low, high = found.ci95
    assert low is not None
    assert high is not None
    assert 10 <= low < found.estimate < high <= 40
    assert "overtakes knockout at about 20 shots" in found.sentence


def test_a_method_that_stays_behind_has_no_break_even_point() -> None:
    task = learnable_task(60)
    shares = {("knockout", 10): 0.9, ("knockout", 40): 0.9, ("lora", 10): 0.1, ("lora", 40): 0.2}
    found = break_even(task, *planted(task, shares), method="lora")
    assert found is not None
    assert found.estimate is None
    assert found.never == 1.0
    assert "does not reach knockout within 40 shots" in found.sentence


def test_one_number_of_shots_draws_no_curve() -> None:
    task = learnable_task(60)
    shares = {("knockout", 10): 0.5, ("lora", 10): 0.3}
    assert break_even(task, *planted(task, shares), method="lora") is None


def test_the_verdict_names_the_winner_and_who_is_level_with_it() -> None:
    task = learnable_task(60)
    shares = {("base", 0): 0.5, ("knockout", 10): 0.5, ("lora", 10): 0.75, ("dora", 10): 0.75}
    requests, results = planted(task, shares)
    (said,) = verdicts(task, requests, results, summarise(task, requests, results))
    assert (said.best, said.level) == ("lora", ("dora",))
    assert "lora is the most accurate, level with dora" in said.sentence
    assert said.lead == pytest.approx(0.25)


def test_a_verdict_has_an_interval_also_without_the_knockout_and_for_it() -> None:
    task = learnable_task(60)
    without = {("base", 0): 0.5, ("lora", 10): 0.75, ("few-shot", 10): 0.6}
    requests, results = planted(task, without)
    (said,) = verdicts(task, requests, results, summarise(task, requests, results))
    assert (said.best, said.rival) == ("lora", "base")
    assert said.lead == pytest.approx(0.25)
    assert said.lead_ci95 is not None
    assert said.lead_ci95[0] > 0
    assert "+25.0 points from the base (95 % interval" in said.sentence

    requests, results = planted(task, {("base", 0): 0.5, ("knockout", 10): 0.75})
    (said,) = verdicts(task, requests, results, summarise(task, requests, results))
    assert (said.best, said.rival) == ("knockout", "base")
    assert said.lead_ci95 is not None


def test_where_nothing_beats_the_base_no_lead_is_stated() -> None:
    task = learnable_task(60)
    requests, results = planted(task, {("base", 0): 0.5, ("lora", 10): 0.25})
    (said,) = verdicts(task, requests, results, summarise(task, requests, results))
    assert (said.best, said.lead) == ("base", None)
    assert "nothing beats the base (50.0 %)" in said.sentence


def test_a_seed_that_diverged_is_counted_and_leaves_the_mean_to_the_others() -> None:
    task = learnable_task(60)
    requests, results = planted(task, {("base", 0): 0.5, ("lora", 10): 0.75})
    lost = next(r for r in requests if r.method == "lora" and r.seed == 1)
    results[lost.name] = CellResult("diverged", "the loss became nan in epoch 2.")
    row = summarise(task, requests, results)[-1]
    assert dict(row.statuses) == {"done": 2, "diverged": 1}
    assert row.seeds == 2
    assert row.not_done == "1 of 3 diverged"
    assert row.accuracy == pytest.approx(0.75)
    assert row.reasons == ("the loss became nan in epoch 2.",)
    assert row.gain_ci95 is not None
    assert row.gain_ci95[0] > 0
