"""The first command a reader runs, on the bundled vision-language model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from planted_case import talo_export

from talo_export.demo.bundled import demo_model_directory, load_demo_task

STOCK = """
import json, sys
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

folder, rows = sys.argv[1], json.load(open(sys.argv[2]))
model = AutoModelForImageTextToText.from_pretrained(folder)
processor = AutoProcessor.from_pretrained(folder)
said = {}
for row in rows:
    content = [{"type": "image"}, {"type": "text", "text": row["text"]}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    inputs = processor(
        text=text, images=Image.open(row["image"]), return_tensors="pt", add_special_tokens=False
    )
    made = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    answer = processor.decode(made[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
    said[row["id"]] = answer.strip()
assert not any(name.startswith("talo_export") for name in sys.modules)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """`talo-export probe --task maps --json`, and the directory it ran in."""
    folder = tmp_path_factory.mktemp("maps")
    done = talo_export("probe", "--task", "maps", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_the_main_job_needs_no_options_and_no_network(maps: tuple[Path, dict[str, Any]]) -> None:
    folder, document = maps
    assert document["model"] == "demo"
    assert document["task"] == "maps"
    assert document["probe"]["n"] == 20
    assert len(document["probe"]["gains"]) == document["layers"] >= 8
    assert (folder / "runs/demo/maps/layers.png").is_file()
    assert "<html" in (folder / "runs/demo/maps/report.html").read_text()


def test_the_first_command_finds_a_layer_confirms_it_and_proves_the_checkpoint(
    maps: tuple[Path, dict[str, Any]],
) -> None:
    """Believed, a wrong guess costs the model a third of its answers; layer 2 is what listens."""
    folder, document = maps
    assert (document["selected_layer"], document["confirm"]["verdict"]) == (2, "confirmed")
    assert document["confirm"]["n"] == document["proof"]["answers_equal"] == 280
    assert document["confirm"]["gain"] > 0.05
    assert document["confirm"]["ci95"][0] > 0
    assert (folder / "runs/demo/maps/checkpoint/README.md").is_file()


def test_why_the_base_is_kept_is_said_once(tmp_path: Path) -> None:
    line = ("probe", "--task", "positions")
    document = json.loads(talo_export(*line, "--json", cwd=tmp_path).stdout)
    assert document["selected_layer"] is None
    shown = " ".join(talo_export(*line, cwd=tmp_path).stdout.split())
    assert shown.count(document["probe"]["reason"]) == 1
    assert shown.count("Keep the base") == 1


def test_each_picture_is_seen_once_by_the_vision_tower(maps: tuple[Path, dict[str, Any]]) -> None:
    _, document = maps
    cost, layers = document["cost"], document["layers"]
    swept, judged = document["probe"]["n"], document["confirm"]["n"]
    assert cost["vision_evaluations"] < 2 * (swept + judged)
    assert cost["layer_evaluations"] < (layers + 1) * layers * swept + 2 * layers * judged


def test_a_checkpoint_is_written_exactly_where_a_layer_earned_it(
    maps: tuple[Path, dict[str, Any]],
) -> None:
    folder, document = maps
    verdict = document["confirm"]["verdict"]
    earned = verdict in ("confirmed", "unconfirmed")
    assert earned == (document["selected_layer"] is not None and verdict != "harmful")
    assert (folder / "runs/demo/maps/checkpoint").is_dir() == earned
    assert (document["checkpoint"] is not None) == earned


def test_stock_transformers_answers_with_the_exported_model_as_evaluate_says(
    maps: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Whichever layer is cut: the export alone, the processor's own code, generated answers."""
    _, document = maps
    gains = document["probe"]["gains"]
    layer = gains.index(sorted(gains)[-2])
    patched = tmp_path / "patched"
    exported = talo_export("export", "--layer", layer, "--out", patched, "--json", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    same = {path.name for path in demo_model_directory().iterdir()} - {"README.md"}
    assert same <= {path.name for path in patched.iterdir()}

    evaluated = talo_export(
        "evaluate", "--model", patched, "--task", "demo/maps", "--limit", 24, "--json", cwd=tmp_path
    )
    assert evaluated.returncode == 0, evaluated.stderr
    expected = {item["id"]: item["answer"] for item in json.loads(evaluated.stdout)["items"]}
    rows = []
    for item in load_demo_task("maps").items:
        if item.id in expected:
            picture = tmp_path / f"{item.id}.png"
            picture.write_bytes(item.images[0].read())
            lines = [f"{letter}. {text}" for letter, text in zip("ABCD", item.choices, strict=True)]
            instruction = "Answer with the option's letter from the given choices directly."
            text = "\n".join([str(item.question), *lines, instruction])
            rows.append({"id": item.id, "text": text, "image": str(picture)})
    assert len(rows) == 24
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "stock.py").write_text(STOCK)
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "stock.py", patched, tmp_path / "rows.json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == expected
