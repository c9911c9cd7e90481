"""Many tasks in one command: one table, one bar, and failures that stay their own."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from asked_models import document, run, saved_llama
from heard import Heard
from rich.console import Console

from talo_export.commands import probe
from talo_export.commands.many import Failure, each_task, means_many, references, show_failures
from talo_export.commands.probe_tasks import ManyResult, TaskRow
from talo_export.errors import TaloError
from talo_export.reporting import SILENT
from talo_export.requests.settings import InferenceSettings, TaskChoice


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_llama(tmp_path_factory.mktemp("llm"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pattern(write_rows) -> str:
    """Three tasks in a file: six items, six items, and two, which are too few for three shots."""
    sizes = {"birds": 6, "rivers": 6, "short": 2}
    rows = [
        {"question": f"{name} {n}?", "choices": ["x", "y"], "answer": n % 2, "category": name}
        for name, size in sizes.items()
        for n in range(size)
    ]
    return f"{write_rows(*rows)}:*"


def test_probe_ends_in_one_table_and_loses_no_task_to_anothers_failure(
    llm: Path, pattern: str
) -> None:
    line = (
        "probe", "--model", llm, "--task", pattern, "--scoring", "likelihood", "--shots", 3,
        "--no-checkpoint", "--out", "runs",
    )  # fmt: skip
    many = document(*line, status=1)
    assert [row["task"] for row in many["tasks"]] == ["quiz/birds", "quiz/rivers"]
    (failure,) = many["failed"]
    assert failure["task"].endswith("quiz.jsonl:short")
    assert "has 2 items: 3 shots leave none to confirm on" in failure["error"]

    for row, run_directory in zip(many["tasks"], many["runs"], strict=True):
        probed = json.loads((Path(run_directory) / "manifest.json").read_text())["result"]
        gains = probed["probe"]["gains"]
        assert row["items"] == 6
        assert row["best_probe_gain"] == max(gains) == gains[row["best_layer"]]
        assert row["layer"] == probed["selected_layer"]
        assert row["verdict"] == probed["confirm"]["verdict"]
        assert row["gain"] == probed["confirm"]["gain"]
        assert (Path(run_directory) / "scores.sqlite").is_file()

    table = list(csv.DictReader(io.StringIO(Path(many["table"]).read_text())))
    assert [row["task"] for row in table] == ["quiz/birds", "quiz/rivers"]
    assert json.loads(Path(many["table_json"]).read_text()) == {
        "tasks": many["tasks"],
        "failed": many["failed"],
    }
    # The same line shows the finished ones and tries the other again.
    again = run(*line)
    assert again.exit_code == 1
    assert again.stderr.count("holds the finished run") == 2
    assert "2 tasks: " in again.stdout
    assert "failed: " in again.stdout


def test_evaluate_names_its_averages(llm: Path, pattern: str) -> None:
    many = document("evaluate", "--model", llm, "--task", pattern, "--scoring", "likelihood")
    accuracies = {row["task"]: (row["accuracy"], row["n"]) for row in many["tasks"]}
    assert set(accuracies) == {"quiz/birds", "quiz/rivers", "quiz/short"}
    assert many["macro"] == pytest.approx(sum(a for a, _ in accuracies.values()) / 3)
    assert many["micro"] == pytest.approx(sum(a * n for a, n in accuracies.values()) / 14)
    whole = document("evaluate", "--model", llm, "--task", pattern[:-2], "--scoring", "likelihood")
    assert whole["averages"]["micro"] == pytest.approx(many["micro"])
    assert whole["averages"]["macro"] == pytest.approx(many["macro"])
    assert whole["averages"]["by_category"]["short"] == accuracies["quiz/short"][0]


def test_a_model_that_is_not_there_ends_it_at_once(pattern: str) -> None:
    result = run("evaluate", "--model", "./no/such", "--task", pattern, "--quiet")
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines() == [
        "error: ./no/such does not exist: check the path, or give a Hub id OWNER/NAME"
    ]


def test_a_model_that_does_not_load_is_tried_once(llm: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in llm.iterdir():
        content = file.read_bytes()
        (broken / file.name).write_bytes(content[:-9] if file.suffix == ".safetensors" else content)
    tried = []

    def load(reference: str, model) -> dict:
        tried.append(reference)
        model()
        return {}

    with pytest.raises(TaloError, match="damaged or cut short"):
        each_task(["a", "b"], InferenceSettings(str(broken)), load, SILENT)
    assert tried == ["a"]


def test_a_bug_in_one_task_is_told_with_its_traceback_and_loses_no_other(
    llm: Path, tmp_path: Path
) -> None:
    def do(reference: str, model) -> dict:
        return {"share": 1 / (reference != "bad")}

    heard = Heard()
    outcomes = each_task(["good", "bad", "fine"], InferenceSettings(str(llm)), do, heard)
    assert len(outcomes.results) == 2
    assert outcomes.failed == [Failure("bad", "ZeroDivisionError: division by zero")]
    assert heard.notes == ["bad failed: ZeroDivisionError: division by zero"]
    (trace,) = outcomes.traces
    assert "return {" in trace


@pytest.mark.parametrize("pattern", ["all", "mmstar/*", "quiz.csv:*", "mmmu/p?ysics"])
def test_patterns_mean_many(pattern: str) -> None:
    assert means_many(pattern)


def test_all_means_the_demos_tasks_or_the_catalogues() -> None:
    assert set(references(TaskChoice("all"), model_is_demo=True)) == set(
        references(TaskChoice("demo/*"), model_is_demo=False)
    )
    assert len(references(TaskChoice("all"), model_is_demo=False)) > 150


def test_one_failure_of_many_tasks_is_said_once() -> None:
    text = io.StringIO()
    failed = [Failure(f"t{n}", "no network") for n in range(9)]
    show_failures(failed, Console(file=text, width=200))
    assert text.getvalue() == "failed: t0, t1, t2, t3 and 5 more: no network\n"


@pytest.mark.parametrize("width", [72, 120])
def test_the_table_says_everything_at_any_width(width: int) -> None:
    chosen = TaskRow(
        "mmstar/cross-instance-attribute-reasoning", items=89, base_accuracy=0.4234, best_layer=7,
        best_probe_gain=0.15, layer=12, probe_gain=0.1, confirm_n=69, gain=0.043, ci_low=0.01,
        ci_high=0.08, p_value=0.01, verdict="confirmed",
    )  # fmt: skip
    kept = replace(chosen, task="mmstar/math", layer=None, gain=None, verdict="keep the base")
    many = ManyResult("model", (chosen, kept), (), None, (), Path("table.csv"), Path("table.json"))
    text = io.StringIO()
    probe.show(many, Console(file=text, width=width))
    said = text.getvalue()
    assert "…" not in said
    for words in ("42.3 %", "12", "+10.0", "+4.3", "[+1.0,", "+8.0]", "(7)", "(+15.0)"):
        assert words in said, words
    assert "confirmed" in said
