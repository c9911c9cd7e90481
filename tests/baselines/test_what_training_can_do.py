"""A planted task that training must win, and one where it cannot help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asking import STRONG, ask, run
from small_models import learnable_task, unlearnable_task

from talo_export.baselines.summary import paired_clusters, summarise
from talo_export.baselines.verdict import verdicts
from talo_export.evidence.paired import gain_interval
from talo_export.models.loading import LoadedModel


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
