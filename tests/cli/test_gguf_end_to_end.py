"""A model that is one GGUF file: probed, exported, asked again by stock transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from planted_case import PLANTED, STOCK_CHOICE, plant_gguf, talo_export


def test_a_gguf_file_is_probed_and_its_export_loads_beside_it(tmp_path: Path) -> None:
    planted = plant_gguf(tmp_path)
    # transformers reads a file of this name in the working directory before any other: the base.
    done = talo_export(
        "probe", "--model", planted.model.name, "--task", planted.task.name,
        "--scoring", "likelihood", "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"Without layer {PLANTED}'s attention" in done.stdout
    assert "items it never saw: confirmed." in done.stdout
    exported = tmp_path / "run" / "checkpoint"
    assert sorted(path.name for path in exported.glob("*.gguf")) == ["model.gguf"]

    (line,) = [line[8:] for line in done.stdout.splitlines() if line.startswith("load ")]
    script = f"""{STOCK_CHOICE}
model = {line}
tokenizer = AutoTokenizer.from_pretrained(".", gguf_file="model.gguf")
rows = [json.loads(line) for line in open("planted.jsonl")][:20]
print(json.dumps([choice(model, tokenizer, row) for row in rows]))
"""
    stock = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert stock.returncode == 0, stock.stderr
    answers = ["ABCD".index(json.loads(row)["answer"]) for row in
               planted.task.read_text().splitlines()[:20]]  # fmt: skip
    right = sum(map(int.__eq__, json.loads(stock.stdout), answers))
    assert right == 18

    verified = talo_export("verify", "run/checkpoint", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout
