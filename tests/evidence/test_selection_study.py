"""The selection study's scripts: its sweep is the product's, and its analyses run on any scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

STUDY = Path(__file__).parents[2] / "examples" / "selection_study"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study's own modules, importable as they import each other."""
    monkeypatch.syspath_prepend(str(STUDY))


def test_one_pass_gives_the_plain_engines_scores(scripts: None) -> None:
    from one_pass import check
    from probe_models import loaded_llama

    from talo_export.probing.settings import Scoring
    from talo_export.tasks.item import Item

    items = [
        Item(
            id=f"item-{n}",
            group=f"item-{n}",
            question=None,
            prompt=f"The {n}th of these is",
            choices=("a red one", "blue", "not any of the others"),
            answer=n % 3,
        )
        for n in range(3)
    ]
    apart = check(loaded_llama(4), items, Scoring("likelihood", choice_text=True))
    assert apart < 1e-3


@pytest.fixture
def scores(scripts: None, tmp_path: Path, make_table) -> Path:
    """Four tasks of 50 items in which layer 1 helps and layer 2 harms."""
    from tables import save_tables

    tables = {}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        base = rng.normal(0, 1, 50)
        margins = np.stack([base, base + 0.1 * rng.normal(size=50), base + 1.0, base - 1.0])
        values = np.stack([margins, np.zeros_like(margins)], axis=2)
        tables[f"task-{seed}"] = make_table(margins[0] > 0, margins[1:] > 0, scores=values)
    save_tables(tmp_path / "scores.npz", tables)
    return tmp_path / "scores.npz"


def run(script: str, *arguments: object) -> None:
    command = [sys.executable, str(STUDY / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_rules_are_compared_on_any_scores(scores: Path, tmp_path: Path) -> None:
    run("study.py", scores, "--out", tmp_path / "out", "--runs", 20)
    lines = json.loads((tmp_path / "out" / "study.json").read_text())
    by_rule = {line["rule"]: line for line in lines if line["shots"] == 20}
    assert by_rule["default (kept-t)"]["gain"] > 10
    assert by_rule["default (kept-t)"]["hurts"] < 5
    assert "| default (kept-t) |" in (tmp_path / "out" / "table.md").read_text()
    assert (tmp_path / "out" / "study.png").is_file()


def test_the_findings_are_found_on_any_scores(scores: Path, tmp_path: Path) -> None:
    run("findings.py", scores, "--out", tmp_path / "out", "--halvings", 2)
    found = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert {task["best_layer"] for task in found["sweeps"]["tasks"].values()} == {1}
    assert found["sweeps"]["discovered"] == 4
    assert found["verdicts"]["default"]["shares"].get("harmful", 0) == 0
    assert found["transfer"]["abroad"] > 0.1
