"""A planted task that training must win."""

from __future__ import annotations

from pathlib import Path

from asking import STRONG, run
from small_models import learnable_task

from talo_export.baselines.summary import paired_clusters
from talo_export.evidence.paired import gain_interval
from talo_export.models.loading import LoadedModel


def test_lora_wins_a_task_whose_rule_a_few_items_teach(llama: LoadedModel, tmp_path: Path) -> None:
    task = learnable_task()
    base = run(task, "base", llama, tmp_path)
    knockout = run(task, "knockout", llama, tmp_path)
    lora = run(task, "lora", llama, tmp_path, training=STRONG)
    assert lora.accuracy is not None
    assert lora.accuracy > 0.9
    groups = {item.id: item.group for item in task.items}
    for rival in (base, knockout):
        low, _ = gain_interval(paired_clusters([(rival, lora)], groups), seed=0)
        assert low > 0
