"""The study's scripts: its scores are the product's, its analyses find what is planted."""

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


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_one_pass_gives_the_plain_engines_scores_for_every_family(scripts: None, kind: str) -> None:
    from check import check
    from cuts import of_heads, of_layers, of_pairs
    from probe_models import loaded_gemma3, loaded_llama

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
        for n in range(2)
    ]
    loaded = loaded_llama(4) if kind == "llama" else loaded_gemma3(4)
    cuts = [*of_layers(4), *of_heads([1, 3], 2), *of_pairs([0, 2, 3])]
    assert check(loaded, items, Scoring("likelihood", choice_text=True), cuts) < 1e-3


def test_a_journal_cut_off_in_a_line_loses_that_item_alone(scripts: None, tmp_path: Path) -> None:
    from cuts import BASE, Cut
    from journal import Line, append, read

    path, cuts = tmp_path / "task.jsonl", [BASE, Cut("heads", 3, 1)]
    for item in ("first", "second"):
        append(path, Line(item, cuts, np.log([[0.5, 0.5], [0.9, 0.1]])))
    path.write_bytes(path.read_bytes()[:-9])
    append(path, Line("third", cuts, np.log([[0.5, 0.5], [0.2, 0.8]])))
    lines = read(path)
    assert [line.item for line in lines] == ["first", "third"]
    assert lines[1].cuts == cuts
    assert lines[1].shares[1] == pytest.approx(np.log([0.2, 0.8]), abs=1e-4)


def shares_of(margin: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """(cuts, items, 2) log-shares with these margins of the right choice."""
    right = -np.logaddexp(0, -margin)
    pair = np.stack([right, right - margin], axis=2)
    return np.where(gold[:, None] == 0, pair, pair[:, :, ::-1]).astype(np.float32)


@pytest.fixture
def scores(scripts: None, tmp_path: Path) -> Path:
    """Four tasks of 90 items: attention layer 1 helps and 2 harms; the model prefers answer 0."""
    from cuts import of_layers
    from tables import Scores, save_scores

    tables, cuts = {}, of_layers(4)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        gold = rng.integers(0, 2, 90).astype(np.int16)
        base = rng.normal(1, 1, 90) + np.where(gold == 0, 1.0, -1.0)
        margin = base + 0.1 * rng.normal(size=(len(cuts), 90))
        margin[0] = base
        for at, cut in enumerate(cuts):
            if cut.family == "attention":
                margin[at] += {1: 1.0, 2: -1.0}.get(cut.layer, 0.0)
        labels = np.tile(np.arange(2, dtype=np.int16), (90, 1))
        tables["tiny", f"task-{seed}"] = Scores(tuple(cuts), shares_of(margin, gold), gold, labels)
    save_scores(tmp_path / "scores.npz", tables)
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


def test_a_family_that_helps_is_confirmed_and_calibration_is_told_apart(
    scores: Path, tmp_path: Path
) -> None:
    run("families.py", scores, "--out", tmp_path / "out", "--runs", 40)
    facts = json.loads((tmp_path / "out" / "families.json").read_text())
    mean = {
        (family, name): np.mean([x[name] for x in facts["lines"] if x["family"] == family])
        for family in ("attention", "mlp", "half", "answer calibration")
        for name in ("gain", "confirmed", "whole", "whole_hurts")
    }
    assert mean["attention", "gain"] > 10
    assert mean["attention", "confirmed"] > 50
    assert mean["attention", "whole"] > 3
    assert mean["attention", "whole_hurts"] <= 2.5
    assert mean["mlp", "confirmed"] <= 2.5
    assert mean["half", "confirmed"] <= 2.5
    assert mean["answer calibration", "gain"] > 5
    assert (tmp_path / "out" / "families.png").is_file()


def test_calibration_in_the_study_is_the_products(scripts: None, scores: Path) -> None:
    from families import answers_of, calibrated_right
    from tables import load_scores

    from talo_export.baselines.calibration import fit_prior, recalibrate
    from talo_export.probing.scores import Outcome, ScoreTable
    from talo_export.probing.settings import Scoring
    from talo_export.tasks.item import Item

    sweep = load_scores(scores)["tiny", "task-0"]
    scoring = Scoring("likelihood", choice_text=True)
    items, outcomes = [], {}
    for number, gold in enumerate(sweep.gold.tolist()):
        items.append(Item(id=str(number), group=str(number), question=None, prompt="Which?",
                          choices=("no", "yes"), answer=gold))  # fmt: skip
        shares = tuple(map(float, sweep.shares[0, number]))
        best = int(np.argmax(shares))
        outcomes[str(number)] = Outcome(best == gold, True, str(best), best, shares)
    table = ScoreTable.build(items, {None: outcomes})
    prior = fit_prior(table.take_items(range(30)), items[:30], scoring)
    product = recalibrate(table, items, {None: prior}, scoring).correct[0]
    drawn = np.r_[np.ones(30), np.zeros(60)][None]
    ours = calibrated_right(answers_of(sweep, ()), drawn, np.zeros(1, dtype=np.int64))
    assert ours is not None
    assert ours[0].astype(bool).tolist() == product.tolist()


def test_generated_answers_are_judged_by_items_that_did_not_choose(
    scripts: None, tmp_path: Path
) -> None:
    """Layer 1 turns 40 of 60 wrong answers right, and layer 0 nothing."""
    from sweep_generation import Generated, load_generated, save_generated

    right = np.zeros((3, 60), dtype=bool)
    right[2, :40] = True
    table = Generated(right, np.ones_like(right), np.arange(60) % 4, np.zeros((0, 0)))
    save_generated(tmp_path / "generated.npz", {("tiny", "capitals", "texts"): table})
    (key,) = load_generated(tmp_path / "generated.npz")
    assert key == ("tiny", "capitals", "texts")
    run("generated.py", tmp_path / "generated.npz", "--out", tmp_path / "out", "--runs", 20)
    (row,) = json.loads((tmp_path / "out" / "generated.json").read_text())
    assert (row["layer"], row["hurts"], row["confirmed"]) == (1, 0, 100)
    assert row["gain"] == pytest.approx(200 / 3, abs=5)
    assert row["whole"] == pytest.approx(200 / 3, abs=5)
