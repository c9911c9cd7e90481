"""The benchmark's models of true sizes: they have those sizes, and their small twins are swept."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"
PARAMETERS = {
    "smolvlm-256m": 0.2565e9,
    "qwen2-vl-2b": 2.2e9,
    "llava-next-8b": 8.4e9,
    "decoder-40b": 34.4e9,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_true_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from shapes import SHAPES

    with torch.device("meta"):
        model, inputs = SHAPES[name][0](False)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(PARAMETERS[name], rel=0.02)
    assert inputs["input_ids"].shape[1] > 1000


def test_their_small_twins_are_benchmarked_by_the_same_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    line = "sweep.py --small --batches 1 --repeat 1 --shapes"
    monkeypatch.setattr(sys, "argv", [*line.split(), *PARAMETERS])
    runpy.run_path(str(FOLDER / "sweep.py"), run_name="__main__")
    rows = [row.split("|") for row in capsys.readouterr().out.splitlines() if "shared" in row]
    # Three layers: 3 for the base, 3 + 2 + 1 for the knockouts; the tower once.
    assert [row[5].strip() for row in rows] == ["9"] * 4
    assert [row[6].strip() for row in rows] == ["1", "1", "1", "0"]
