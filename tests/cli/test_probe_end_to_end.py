"""The main job through the installed command, on a case whose answer was planted."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from planted_case import LAYERS, PLANTED, STOCK_CHOICE, Planted, talo_export

from talo_export.requests.fields import command_line
from talo_export.requests.measurements import AskRequest

STOCK = f"""{STOCK_CHOICE}
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
rows = map(json.loads, open(sys.argv[2]))
print(json.dumps({{row["id"]: choice(model, tokenizer, row) for row in rows}}))
assert not any(name.startswith("talo_export") for name in sys.modules)
"""

OPTIONS = ("--scoring", "likelihood", "--criterion", "accuracy", "--shots", "30", "--json")


def probe_line(planted: Planted, out: Path, *more: object) -> tuple[object, ...]:
    return (
        "probe",
        "--model",
        planted.model,
        "--task",
        planted.task,
        "--out",
        out,
        *OPTIONS,
        *more,
    )


@pytest.fixture(scope="module")
def finished(
    planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A finished run and its JSON document."""
    folder = tmp_path_factory.mktemp("finished")
    done = talo_export(*probe_line(planted, folder / "run"), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", json.loads(done.stdout)


def test_the_planted_layer_is_selected_and_confirmed(finished: tuple[Path, dict[str, Any]]) -> None:
    _, document = finished
    assert document["selected_layer"] == PLANTED
    assert document["confirm"]["verdict"] == "confirmed"
    assert document["confirm"]["ci95"][0] > 0
    assert document["probe"]["n"] + document["confirm"]["n"] == 90


def test_the_document_has_the_fields_of_the_contract(finished: tuple[Path, dict[str, Any]]) -> None:
    _, document = finished
    assert document["layers"] == LAYERS
    for name in ("accuracy", "gains", "margin_gains", "probability_gains", "unparsed"):
        assert len(document["probe"][name]) == LAYERS, name
    assert {"model", "revision", "task", "scoring", "seed", "fill", "scope", "run"} <= set(document)
    assert {"n", "base_accuracy", "accuracy", "gain", "ci95", "p_value", "verdict"} <= set(
        document["confirm"]
    )
    assert {
        "layer_evaluations", "layer_evaluations_naive", "vision_evaluations", "seconds",
        "peak_memory_bytes", "threads",
    } <= set(document["cost"])  # fmt: skip


def test_no_item_both_selects_and_confirms(
    planted: Planted, finished: tuple[Path, dict[str, Any]]
) -> None:
    run, document = finished
    probed = set(document["probe"]["ids"])
    with sqlite3.connect(run / "scores.sqlite") as journal:
        swept = journal.execute(
            "SELECT variant, item FROM outcome WHERE variant != 'base'"
        ).fetchall()
    chosen = f"attention/zero/{PLANTED}"
    assert {item for variant, item in swept if variant != chosen} == probed
    confirmed = {item for variant, item in swept if variant == chosen} - probed
    assert len(confirmed) == document["confirm"]["n"]


def test_the_example_is_an_unseen_item_that_turned_right_and_its_line_asks_it(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    run, document = finished
    example = document["example"]
    assert example["id"] not in document["probe"]["ids"]
    with sqlite3.connect(run / "scores.sqlite") as journal:
        rows = journal.execute(
            "SELECT outcome FROM outcome WHERE item = ? ORDER BY variant", (example["id"],)
        ).fetchall()
    after, before = (json.loads(outcome)["correct"] for (outcome,) in rows)
    assert (before, after, example["turned_right"]) == (False, True, True)
    line = command_line(AskRequest(run, items=(example["id"],)))
    asked = talo_export(*shlex.split(line)[1:], "--json", "--max-new-tokens", 2, cwd=run.parent)
    (question,) = json.loads(asked.stdout)["questions"]
    assert (question["id"], question["question"]) == (example["id"], example["question"])


def test_the_run_directory_holds_what_was_promised(finished: tuple[Path, dict[str, Any]]) -> None:
    run, document = finished
    assert (run / "layers.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((run / "vector.json").read_text())["gains"]) == LAYERS
    assert json.loads((run / "manifest.json").read_text())["result"] == document
    checkpoint = run / "checkpoint"
    assert (checkpoint / "BASE_README.md").read_text().startswith("---\nlicense: mit")
    card = (checkpoint / "README.md").read_text()
    assert "license: mit" in card
    assert f"{100 * document['confirm']['gain']:.1f}" in card


def test_only_the_planned_bytes_differ_from_the_base(
    planted: Planted, finished: tuple[Path, dict[str, Any]]
) -> None:
    run, _ = finished
    edits = json.loads((run / "checkpoint" / "talo_export.json").read_text())["edits"]
    assert {edit["tensor"].split("self_attn.")[1] for edit in edits} == {
        f"{name}_proj.weight" for name in "qkvo"
    }
    names = {path.name for path in planted.model.iterdir()} - {"README.md"}
    assert sum(name.endswith(".safetensors") for name in names) > 1
    for name in names:
        base = bytearray((planted.model / name).read_bytes())
        for edit in edits:
            if edit["file"] == name:
                base[edit["offset"] : edit["offset"] + edit["bytes"]] = bytes(edit["bytes"])
        assert (run / "checkpoint" / name).read_bytes() == base, name


def test_stock_transformers_alone_gives_the_confirmed_accuracy_item_for_item(
    planted: Planted, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    run, document = finished
    with sqlite3.connect(run / "scores.sqlite") as journal:
        rows = journal.execute(
            "SELECT item, outcome FROM outcome WHERE variant = ?", (f"attention/zero/{PLANTED}",)
        )
        expected = {item: json.loads(outcome)["choice"] for item, outcome in rows}
    script = tmp_path / "stock.py"
    script.write_text(STOCK)
    done = subprocess.run(
        [sys.executable, "-I", script, run / "checkpoint", planted.task],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answered = json.loads(done.stdout)
    assert {item: answered[item] for item in expected} == expected
    gold = {
        row["id"]: "ABCD".index(row["answer"])
        for row in map(json.loads, planted.task.read_text().splitlines())
    }
    unseen = [item for item in expected if item not in set(document["probe"]["ids"])]
    right = sum(answered[item] == gold[item] for item in unseen)
    assert right / len(unseen) == document["confirm"]["accuracy"]


def test_the_same_line_shows_a_finished_run(
    planted: Planted, finished: tuple[Path, dict[str, Any]]
) -> None:
    run, document = finished
    before = (run / "scores.sqlite").read_bytes()
    again = talo_export(*probe_line(planted, run), cwd=run.parent)
    assert json.loads(again.stdout) == document
    assert (run / "scores.sqlite").read_bytes() == before


def test_another_seed_is_refused_naming_what_differs(
    planted: Planted, finished: tuple[Path, dict[str, Any]]
) -> None:
    run, _ = finished
    refused = talo_export(*probe_line(planted, run, "--seed", "7"), cwd=run.parent)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "seed (recorded 0, asked 7)" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_killed_sweep_goes_on_and_gives_the_same_json(
    planted: Planted, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Killed three times in mid-sweep, each time with some answers more in the journal."""
    _, uninterrupted = finished
    run = tmp_path / "run"
    command = Path(sys.executable).with_name("talo-export")
    line = [str(command), *map(str, probe_line(planted, run, "--batch-size", "1"))]
    kept = 0
    for _ in range(3):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and answers_in(run) < kept + 15:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert answers_in(run) > kept
        kept = answers_in(run)
    resumed = talo_export(*probe_line(planted, run, "--batch-size", "1"), cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    document = json.loads(resumed.stdout)
    assert document["cost"]["layer_evaluations"] < uninterrupted["cost"]["layer_evaluations"]
    assert comparable(document) == comparable(uninterrupted)


def answers_in(run: Path) -> int:
    """Answers in the journal so far; 0 before there is one."""
    try:
        with sqlite3.connect(f"file:{run / 'scores.sqlite'}?mode=ro", uri=True) as journal:
            return int(journal.execute("SELECT count(*) FROM outcome").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """Everything but what depends on where and how fast the run was."""
    return {
        key: value
        for key, value in document.items()
        if key not in ("cost", "run", "checkpoint", "command")
    }


def test_verify_accepts_the_checkpoint_and_notices_one_changed_byte(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    run, _ = finished
    good = talo_export("verify", run / "checkpoint", "--json", cwd=tmp_path)
    report = json.loads(good.stdout)
    assert (good.returncode, report["ok"]) == (0, True), good.stderr
    assert report["logits"]["max_abs_difference_to_knockout"] == 0
    assert report["logits"]["max_abs_difference_to_base"] > 0
    assert len(report["tensors"]["filled"]) == 4

    broken = tmp_path / "broken"
    subprocess.run(["cp", "-r", run / "checkpoint", broken], check=True)
    shard = min(broken.glob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    bad = talo_export("verify", broken, "--json", cwd=tmp_path)
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["files"]["wrong"] == [shard.name]
