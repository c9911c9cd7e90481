"""A planted task that training must win, and one where it cannot help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from asking import STRONG, ask, run
from small_models import learnable_task, unlearnable_task, write_llama

from talo_export.baselines.calibration import NotApplicableError
from talo_export.baselines.summary import paired_clusters, summarise
from talo_export.baselines.verdict import verdicts
from talo_export.evidence.paired import gain_interval
from talo_export.models.loading import LoadedModel, load_model


def test_lora_wins_a_task_whose_rule_a_few_items_teach(llama: LoadedModel, tmp_path: Path) -> None:
    task = learnable_task()
    base = run(task, "base", llama, tmp_path, shots=12)
    knockout = run(task, "knockout", llama, tmp_path, shots=12)
    lora = run(task, "lora", llama, tmp_path, shots=12, training=STRONG)
    assert lora.accuracy is not None
    assert lora.accuracy > 0.9
    groups = {item.id: item.group for item in task.items}
    for rival in (base, knockout):
        low, _ = gain_interval(paired_clusters([(rival, lora)], groups), seed=0)
        assert low > 0


def test_nothing_helps_where_an_item_tells_nothing_about_another(
    llama: LoadedModel, tmp_path: Path
) -> None:
    task = unlearnable_task()
    training = replace(STRONG, epochs=8)
    requests = [ask(task, method, shots=12) for method in ("base", "knockout", "lora")]
    results = {
        request.name: run(task, request.method, llama, tmp_path, shots=12, training=training)
        for request in requests
    }
    rows = summarise(task, requests, results)
    lora = rows[-1]
    assert lora.gain_ci95 is not None
    assert lora.gain_ci95[0] <= 0
    (said,) = verdicts(task, requests, results, rows)
    assert "not sure" in said.sentence or said.best in ("base", "knockout")


def test_training_stops_early_once_the_loss_is_low_enough(
    llama: LoadedModel, tmp_path: Path
) -> None:
    content = replace(STRONG, enough=2.0)
    result = run(learnable_task(), "lora", llama, tmp_path, shots=12, training=content)
    *before, last = result.details["losses"]
    assert result.details["epochs"] == len(before) + 1 < STRONG.epochs
    assert last < 2.0 <= min(before)
    assert result.adapt is not None
    assert result.adapt.backward_passes == 12 * result.details["epochs"]


def test_gradient_checkpointing_changes_no_loss(llama: LoadedModel, tmp_path: Path) -> None:
    plain = replace(STRONG, epochs=2)
    recomputed = replace(plain, gradient_checkpointing=True)
    one = run(learnable_task(), "lora", llama, tmp_path, shots=6, training=plain)
    other = run(learnable_task(), "lora", llama, tmp_path, shots=6, training=recomputed)
    assert one.details["losses"] == other.details["losses"]
    assert one.correct == other.correct
    assert one.adapt is not None
    assert other.adapt is not None
    assert other.adapt.forward_passes > one.adapt.forward_passes


def test_few_shot_shows_what_fits_and_says_how_many(tmp_path: Path) -> None:
    tight = load_model(str(write_llama(tmp_path / "tight", positions=80)), device="cpu")
    task = learnable_task()
    request = ask(task, "few-shot", shots=12)
    result = run(task, "few-shot", tight, tmp_path, shots=12)
    assert result.status == "done"
    assert 0 < result.details["shots_shown"] < 12
    row = summarise(task, [request], {request.name: result})[-1]
    assert row.notes[0].startswith(f"the context has room for {result.details['shots_shown']} of")
    narrow = load_model(str(write_llama(tmp_path / "narrow", positions=16)), device="cpu")
    with pytest.raises(NotApplicableError, match="no room for one example"):
        run(task, "few-shot", narrow, tmp_path, shots=12)
