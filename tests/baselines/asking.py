"""Requests for cells, as the tests need them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from talo_export.baselines.methods import draw, methods_named, plan_cells
from talo_export.baselines.request import CellRequest, CellResult, ModelSource
from talo_export.baselines.settings import Training
from talo_export.baselines.work import do_cell
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import PeakMemory
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Task

LIKELIHOOD = Scoring(kind="likelihood")


def ask(
    task: Task,
    method: str,
    *,
    shots: int = 24,
    seed: int = 0,
    test_limit: int | None = None,
    **changes: Any,
) -> CellRequest:
    """One cell's request."""  # fmt: skip
    template = CellRequest(
        model=ModelSource(reference="", device="cpu"), model_fingerprint="", method="", shots=0,
        seed=0, train=(), test=(), items_file="", task_fingerprint=task.fingerprint,
        scoring=LIKELIHOOD,
    )  # fmt: skip
    cells = plan_cells(template, methods_named([method]), [draw(task, [shots], seed, test_limit)])
    return replace(cells[-1], **changes)


def run(task: Task, method: str, loaded: LoadedModel, tmp_path: Path, **changes: Any) -> CellResult:
    """Run one cell in this process."""
    request = ask(task, method, **changes)
    memory = PeakMemory(torch.device("cpu"))
    return do_cell(request, loaded, task, memory, tmp_path / "artifact")


QUICK = Training(epochs=2, batch_size=2)
STRONG = Training(epochs=20, learning_rate=1e-2, batch_size=4)
"""Rates for random models of a few thousand weights, not for real ones."""
