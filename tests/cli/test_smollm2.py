"""A real pretrained language model from its PyPI wheel: probed, exported, reloaded, evaluated."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

from planted_case import talo_export

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOTS, ITEMS = 3, 8


def test_smollm2_is_probed_exported_and_answers_as_the_probe_said(tmp_path: Path) -> None:
    model, task, run = tmp_path / "smollm2", tmp_path / "capitals.jsonl", tmp_path / "run"
    subprocess.run(
        [sys.executable, EXAMPLES / "convert.py", "smollm2", "--out", model],
        check=True,
        capture_output=True,
    )
    with (EXAMPLES / "smollm2" / "capitals.jsonl").open(encoding="utf-8") as rows:
        task.write_text("".join(islice(rows, ITEMS)), encoding="utf-8")

    done = talo_export(
        "probe", "--model", model, "--task", task, "--shots", SHOTS, "--scoring", "likelihood",
        "--out", run, "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["layers"] == 30
    assert len(document["probe"]["gains"]) == 30
    assert document["probe"]["n"] == SHOTS
    assert min(document["probe"]["probability_gains"]) < -0.05, "some layer must matter"

    # Whatever so few items say, the least harmful layer is exported and must load and answer.
    gains = document["probe"]["probability_gains"]
    layer = gains.index(max(gains))
    patched = tmp_path / "patched"
    exported = talo_export(
        "export", "--model", model, "--layer", layer, "--out", patched, "--json", cwd=tmp_path
    )
    assert exported.returncode == 0, exported.stderr
    assert len(json.loads(exported.stdout)["edits"]) == 4
    verified = talo_export("verify", patched, "--json", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["logits"]["max_abs_difference_to_knockout"] == 0
    evaluated = talo_export(
        "evaluate", "--model", patched, "--task", task, "--scoring", "likelihood", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    answers = {item["id"]: item["correct"] for item in json.loads(evaluated.stdout)["items"]}
    probed = document["probe"]
    right = sum(answers[item] for item in probed["ids"])
    assert right == round(probed["accuracy"][layer] * SHOTS)
