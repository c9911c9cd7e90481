"""From cells to the table, the verdict and the break-even point, on cells made up by hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import ask
from small_models import learnable_task, picture_task

from talo_export.baselines.break_even import break_even, crossing
from talo_export.baselines.curves import draw_curves
from talo_export.baselines.items_file import read_items, write_items
from talo_export.baselines.methods import methods_named
from talo_export.baselines.plan import draw, plan_cells
from talo_export.baselines.request import CellRequest, CellResult, Phase
from talo_export.baselines.summary import summarise, to_csv
from talo_export.baselines.verdict import verdicts
from talo_export.errors import TaloError

TASK = learnable_task()
SHOTS = (5, 10, 20)


def cells(
    right: Callable[[str, int, int], float],
) -> tuple[tuple[CellRequest, ...], dict[str, CellResult]]:
    """Cells of three seeds; `right(method, shots, place)` is the share of rights up to a place."""
    methods = methods_named(["base", "knockout", "lora"])
    requests = plan_cells(ask(TASK, "base"), methods, [draw(TASK, SHOTS, s) for s in range(3)])
    results = {}
    for request in requests:
        share = right(request.method, request.shots, request.seed)
        n = len(request.test)
        correct = {id_: place < share * n for place, id_ in enumerate(request.test)}
        phase = Phase(2.0, 1000 * (request.shots + 1), forward_passes=request.shots)
        results[request.name] = CellResult("done", correct=correct, adapt=phase, test=phase)
    return requests, results


def lora_grows(method: str, shots: int, seed: int) -> float:
    """LoRA passes a constant knockout between 5 and 20 shots."""
    return {"base": 0.3, "knockout": 0.5, "lora": {5: 0.25, 10: 0.5, 20: 0.95}.get(shots, 0)}[
        method
    ]


def test_a_row_holds_the_mean_the_spread_and_a_paired_interval() -> None:
    rows = summarise(TASK, *cells(lora_grows))
    row = next(r for r in rows if (r.method, r.shots) == ("lora", 20))
    assert row.seeds == 3
    assert row.accuracy == pytest.approx(0.95, abs=0.02)
    assert row.accuracy_sd == 0
    assert row.gain_ci95 is not None
    assert row.gain_ci95[0] > 0.4
    assert (row.seconds, row.peak_memory_bytes, row.forward_passes) == (2.0, 21000, 20)


def test_a_diverged_cell_is_counted_and_left_out_of_the_mean() -> None:
    requests, results = cells(lora_grows)
    lost = next(r for r in requests if (r.method, r.shots, r.seed) == ("lora", 20, 1))
    results[lost.name] = CellResult("diverged", "the loss became nan in epoch 2.")
    row = next(r for r in summarise(TASK, requests, results) if (r.method, r.shots) == ("lora", 20))
    assert (row.seeds, row.statuses) == (2, {"done": 2, "diverged": 1})
    assert row.reasons == ("the loss became nan in epoch 2.",)


def test_if_lora_wins_the_verdict_says_so() -> None:
    requests, results = cells(lora_grows)
    found = verdicts(TASK, requests, results, summarise(TASK, requests, results))
    assert [verdict.best for verdict in found] == ["knockout", "knockout", "lora"]
    assert "lora is the most accurate" in found[-1].sentence
    assert "+45.0 points from the knockout" in found[-1].sentence


def test_the_break_even_point_lies_between_the_shots_where_the_lead_changes() -> None:
    requests, results = cells(lora_grows)
    found = break_even(TASK, requests, results, method="lora")
    assert found is not None
    assert found.estimate == pytest.approx(10, abs=0.5)
    assert found.low is not None
    assert found.low > 5
    assert found.never == 0


def test_a_method_that_never_catches_up_has_no_break_even_point() -> None:
    requests, results = cells(lambda method, shots, seed: 0.6 if method == "knockout" else 0.2)
    found = break_even(TASK, requests, results, method="lora")
    assert found is not None
    assert (found.estimate, found.never) == (None, 1.0)
    assert "does not reach knockout within 20 shots" in found.sentence


def test_the_crossing_is_drawn_over_the_logarithm_of_the_shots() -> None:
    assert crossing(np.array([-0.1, 0.1]), (10, 40)) == pytest.approx(20)
    assert crossing(np.array([0.0, 0.1]), (10, 40)) == 10
    assert crossing(np.array([-0.1, -0.05]), (10, 40)) == np.inf


def test_the_csv_has_a_line_for_every_row() -> None:
    rows = summarise(TASK, *cells(lora_grows))
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [line["name"] for line in lines] == [row.method for row in rows]
    assert float(lines[-1]["accuracy"]) == rows[-1].accuracy


def test_the_figure_is_written(tmp_path: Path) -> None:
    draw_curves(summarise(TASK, *cells(lora_grows)), tmp_path / "compare.png", title="planted")
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_requests_and_results_survive_json() -> None:
    requests, results = cells(lora_grows)
    for request in requests[:3]:
        assert CellRequest.from_json(request.to_json()) == request
        result = results[request.name]
        assert CellResult.from_json(result.to_json()) == result


def test_items_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    task = picture_task()
    write_items(task, tmp_path / "items.jsonl")
    assert read_items(tmp_path / "items.jsonl", task.fingerprint).fingerprint == task.fingerprint


def test_items_of_another_task_are_refused(tmp_path: Path) -> None:
    write_items(replace(TASK, items=TASK.items[:5]), tmp_path / "items.jsonl")
    with pytest.raises(TaloError, match="start over"):
        read_items(tmp_path / "items.jsonl", TASK.fingerprint)
