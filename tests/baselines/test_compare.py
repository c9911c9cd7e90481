"""`talo-export compare` from the command line to the table, on a tiny model, and once more."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from results import probe_result
from rich.console import Console
from small_models import learnable_task
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from talo_export.cli.app import app
from talo_export.codec import from_json
from talo_export.commands.compare import show_compare
from talo_export.errors import TaloError
from talo_export.runs.comparison import Comparison as ComparisonResult
from talo_export.runs.comparison import comparison_beside, comparison_of, read_comparison

CONTRACT = {
    "name", "shots", "seeds", "accuracy", "accuracy_sd", "gain_ci95", "peak_memory_bytes",
    "seconds", "trainable_parameters", "forward_passes", "backward_passes", "artifact_bytes",
}  # fmt: skip


class Comparison:
    """A command line, and what it printed and left on disk."""

    def __init__(self, model: Path, folder: Path) -> None:
        task = folder / "colours.jsonl"
        rows = [
            {"id": i.id, "prompt": i.prompt, "choices": i.choices, "answer": i.answer}
            for i in learnable_task(24).items
        ]
        task.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.out = folder / "tiny.compare"
        self.line = [
            "compare", "--model", str(model), "--task", str(task), "--out", str(self.out),
            "--methods", "calibration,lora", "--shots", "4,8", "--seeds", "1", "--epochs", "2",
            "--scoring", "likelihood", "--device", "cpu", "--json",
        ]  # fmt: skip
        self.document = self.run()

    def run(self) -> dict:
        done = CliRunner().invoke(app, self.line)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def results(self) -> dict[str, int]:
        """When each cell's result was written."""
        found = (self.out / "cells").glob("*.result.json")
        return {path.name: path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="module")
def compared(llama_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return Comparison(llama_directory, tmp_path_factory.mktemp("compared"))


def test_the_document_is_the_contracts(compared: Comparison) -> None:
    document = compared.document
    assert {"task", "test_n", "methods"} <= set(document)
    rows = document["methods"]
    assert [(row["name"], row["shots"]) for row in rows] == [
        ("base", 0), ("calibration", 4), ("lora", 4), ("calibration", 8), ("lora", 8),
    ]  # fmt: skip
    for row in rows:
        assert set(row) >= CONTRACT
        assert row["statuses"] == {"done": 1}
        assert row["peak_memory_bytes"] > 0
    lora = rows[2]
    # Two epochs of four items, one item a pass.
    assert (lora["forward_passes"], lora["backward_passes"]) == (8, 8)
    assert lora["trainable_parameters"] > 0
    assert lora["artifact_bytes"] > 4 * lora["trainable_parameters"]


def test_table_and_figure_are_beside_the_cells(compared: Comparison) -> None:
    table = list(csv.DictReader(io.StringIO((compared.out / "compare.csv").read_text())))
    assert [row["name"] for row in table] == [r["name"] for r in compared.document["methods"]]
    assert (compared.out / "compare.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((compared.out / "compare.json").read_text())
    assert kept == compared.document


def test_every_cell_of_a_seed_is_tested_on_the_same_items(compared: Comparison) -> None:
    cells = [json.loads(p.read_text()) for p in (compared.out / "cells").glob("*.request.json")]
    assert len(cells) == 5
    assert len({tuple(cell["test"]) for cell in cells}) == 1
    assert all(len(cell["train"]) == cell["shots"] for cell in cells)
    assert not {id_ for cell in cells for id_ in cell["train"]} & set(cells[0]["test"])


def test_the_adapter_it_saved_loads_with_plain_peft_and_answers_as_recorded(
    compared: Comparison, llama_directory: Path
) -> None:
    (artifact,) = (compared.out / "cells").glob("lora-8-*.artifact")
    result = json.loads(artifact.with_suffix(".result.json").read_text())
    stock = AutoModelForCausalLM.from_pretrained(llama_directory)
    tuned = PeftModel.from_pretrained(stock, artifact).eval()
    tokenizer = AutoTokenizer.from_pretrained(llama_directory)
    items = {item.id: item for item in learnable_task(24).items}

    def score(prompt: str, choice: str) -> float:
        start = len(tokenizer(prompt)["input_ids"])
        ids = torch.tensor([tokenizer(f"{prompt} {choice}")["input_ids"]])
        with torch.no_grad():
            rows = tuned(input_ids=ids).logits[0].log_softmax(dim=-1)
        return sum(float(rows[at - 1, ids[0, at]]) for at in range(start, ids.shape[1]))

    for id_, right in result["correct"].items():
        item = items[id_]
        scores = [score(item.prompt or "", choice) for choice in item.choices]
        assert (scores.index(max(scores)) == item.answer) == right


def test_only_a_missing_cell_is_run_again(compared: Comparison) -> None:
    before = compared.results()
    gone = next(name for name in before if name.startswith("calibration-4-"))
    (compared.out / "cells" / gone).unlink()
    again = compared.run()
    after = compared.results()
    assert {name for name in after if after[name] != before[name]} == {gone}
    for new, old in zip(again["methods"], compared.document["methods"], strict=True):
        assert (new["accuracy"], new["gain_ci95"]) == (old["accuracy"], old["gain_ci95"])


def test_a_cell_of_a_version_that_told_models_by_file_times_is_run_again_saying_why(
    compared: Comparison,
) -> None:
    cells = compared.out / "cells"
    (request,) = cells.glob("calibration-4-*.request.json")
    document = json.loads(request.read_text())
    document["model_stamp"] = document.pop("model_fingerprint")[:16]
    old = request.with_name("calibration-4-0-0123456789ab.request.json")
    old.write_text(json.dumps(document))
    result = request.with_name(request.name.replace(".request.", ".result."))
    result.rename(old.with_name(old.name.replace(".request.", ".result.")))
    again, finished = (CliRunner().invoke(app, compared.line[:-1]) for _ in range(2))
    why = "told a model by the times of its files"
    assert why in " ".join(again.stderr.split())
    assert result.is_file()
    assert why not in " ".join(finished.stderr.split())


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_table_fits_the_terminal(compared: Comparison, width: int) -> None:
    page = Console(file=io.StringIO(), width=width)
    show_compare(from_json(ComparisonResult, compared.document, "it"), page)
    text = page.file.getvalue()
    table = [line for line in text.splitlines() if line.startswith(("method", "calib", "lora"))]
    assert len(table) >= 5
    assert "…" not in text
    assert "At 8 shots" in text


def test_the_page_and_card_of_a_run_can_state_it(compared: Comparison) -> None:
    same = {name: compared.document[name] for name in ("model", "task", "scoring")}
    run = probe_result(**same)
    beside = compared.out.with_name("tiny")
    assert comparison_beside(beside) == compared.out
    assert comparison_of(beside, run) == read_comparison(compared.out, run)
    assert comparison_of(beside, replace(run, scoring="generate")) is None
    rows = read_comparison(compared.out, run).methods
    assert [row.label for row in rows][:2] == ["base", "calibration, 4 shots, 1 seed"]
    with pytest.raises(TaloError, match="another"):
        read_comparison(compared.out, replace(run, task="another"))


def test_memory_is_predicted_from_a_config_alone(llama_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((llama_directory / "config.json").read_bytes())
    line = ["compare", "--estimate", "--model", str(tmp_path), "--tokens", "64", "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    one, four = json.loads(done.stdout)["footprints"]
    assert one["weights"] < one["inference"] < one["training"] < four["training"]


def test_shots_that_are_no_numbers_are_wrong_usage() -> None:
    done = CliRunner().invoke(app, ["compare", "--shots", "ten", "--quiet"])
    assert done.exit_code == 2


def test_four_bits_without_bitsandbytes_are_refused_before_any_cell_runs(
    llama_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python's own way to say that a module is not to be had.
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    out = tmp_path / "out"
    line = ["compare", "--model", str(llama_directory), "--load-in-4bit", "--out", str(out)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 1
    assert "pip install 'talo-export[4bit]'" in done.stderr
    assert not out.exists()
