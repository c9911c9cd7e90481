"""What scores mean, through the jobs that users start: a planted case and two tasks besides it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from heard import Heard
from planted_case import LAYERS, PLANTED, Planted
from typer.testing import CliRunner

from talo_export.checkpoint.manifest import read_manifest
from talo_export.cli.app import app
from talo_export.commands import analyze, report
from talo_export.commands.probe_task import run_probe
from talo_export.commands.probe_tasks import run_probes
from talo_export.errors import UsageError
from talo_export.reporting import SILENT
from talo_export.requests.measurements import ProbeRequest
from talo_export.requests.readings import AnalyzeRequest, ReportRequest


@pytest.fixture(scope="module")
def folder(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two task files besides the planted one: the first and the last of its items."""
    folder = tmp_path_factory.mktemp("evidence")
    lines = planted.task.read_text().splitlines(keepends=True)
    (folder / "first.jsonl").write_text("".join(lines[:40]))
    (folder / "last.jsonl").write_text("".join(lines[-40:]))
    return folder


@pytest.fixture(scope="module")
def request_for(planted: Planted, folder: Path):
    """A probe of a task file into a run directory of its name."""

    def make(task: Path, **options: Any) -> ProbeRequest:
        asked = ProbeRequest(
            model=str(planted.model),
            task=str(task),
            out=folder / "runs" / task.stem,
            shots=25,
            scoring="likelihood",
            criterion="accuracy",
            checkpoint=False,
        )
        return replace(asked, **options)

    return make


@pytest.fixture(scope="module")
def run(planted: Planted, folder: Path, request_for) -> Path:
    """The planted task's run, with its checkpoint."""
    run_probe(request_for(planted.task, checkpoint=True), SILENT)
    return folder / "runs" / planted.task.stem


@pytest.fixture(scope="module")
def others(folder: Path, request_for) -> list[Path]:
    """The two other tasks' runs."""
    for name in ("first", "last"):
        run_probe(request_for(folder / f"{name}.jsonl"), SILENT)
    return [folder / "runs" / name for name in ("first", "last")]


def document_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "manifest.json").read_text())["result"]


def test_power_is_told_before_the_sweep(planted: Planted, tmp_path: Path, request_for) -> None:
    heard = Heard()
    asked = request_for(planted.task, out=tmp_path / "run")
    with pytest.raises(RuntimeError, match="before the model"):
        run_probe(asked, heard, load=refuse)
    assert any("with 65 unseen items a gain of" in line for line in heard.notes)


def refuse() -> Any:
    raise RuntimeError("before the model was loaded")


def test_every_layers_gain_has_a_p_value_corrected_over_layers(run: Path) -> None:
    tests = document_of(run)["evidence"]["layer_tests"]
    by_layer = {one["layer"]: one for one in tests["layers"]}
    assert len(by_layer) == LAYERS
    assert by_layer[PLANTED]["p_gain"] < 0.2
    assert by_layer[PLANTED]["p_gain"] == min(one["p_gain"] for one in by_layer.values())


def test_a_run_with_a_prior_and_a_noise_floor_of_former_versions_is_still_read(
    tmp_path: Path, folder: Path, request_for
) -> None:
    run_probe(request_for(folder / "first.jsonl", out=tmp_path / "run"), SILENT)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    manifest["request"]["prior"] = ["capitals", "maps"]
    floor = {"n": 40, "flipped": 0, "turned": 0, "sentence": "All 40 items the same."}
    manifest["result"]["evidence"]["noise_floor"] = floor
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "run" / "report.html").unlink()
    report.run(ReportRequest([tmp_path / "run"]))
    assert "first" in (tmp_path / "run" / "report.html").read_text()
    assert analyze.run(
        AnalyzeRequest("vectors", [tmp_path / "run"], out=tmp_path / "out")
    ).to_json()["tasks"]


def test_letters_are_calibrated_in_result_report_and_card(run: Path) -> None:
    found = document_of(run)["evidence"]["calibration"]
    assert found["layer"] == PLANTED
    assert len(found["distribution"]["gold"]) == 4
    gain = f"{100 * found['calibrated']['gain']:+.1f}"
    card = (run / "checkpoint" / "README.md").read_text()
    assert f"prior corrected in both models the gain is {gain}" in card
    assert f"{gain} when the preference" in (run / "report.html").read_text()


def test_a_task_without_items_to_confirm_on_is_cross_validated(
    folder: Path, tmp_path: Path, request_for
) -> None:
    document = run_probe(
        request_for(folder / "first.jsonl", shots=None, out=tmp_path / "all"), SILENT
    ).to_json()
    found = document["evidence"]["cross_validation"]
    assert document["selected_layer"] is None
    assert found["layer"] == PLANTED
    assert found["gain"] <= found["apparent_gain"]
    assert found["ci95"][0] < found["gain"] < found["ci95"][1]
    assert found["sentence"] in (tmp_path / "all" / "report.html").read_text()


def test_side_effects_stand_in_result_report_and_card(run: Path, others: list[Path]) -> None:
    card = run / "checkpoint" / "README.md"
    assert "Nobody has measured what it does to other tasks" in card.read_text()
    found = analyze.run(
        AnalyzeRequest("side-effects", [run, *others], out=run / "analysis")
    ).to_json()
    assert set(found["tasks"]) == {"first", "last"}
    text = card.read_text()
    assert "The same knockout on 2 other tasks" in text
    assert "| first |" in text
    assert "Nobody has measured" not in text
    assert found["sentence"] in (run / "report.html").read_text()
    assert document_of(run)["side_effects"]["tasks"].keys() == {"first", "last"}


@pytest.mark.parametrize(
    ("kind", "of"),
    [("vectors", 3), ("heatmap", 3), ("clusters", 3), ("transfer", 3), ("stability", 1),
     ("shots", 1), ("cases", 1), ("answers", 1)],
)  # fmt: skip
def test_every_analysis_is_told_in_a_sentence(
    run: Path, others: list[Path], tmp_path: Path, kind: str, of: int
) -> None:
    found = analyze.run(AnalyzeRequest(kind, [run, *others][:of], out=tmp_path)).to_json()
    assert found["sentence"].endswith(".")
    assert json.loads((tmp_path / f"{kind}.json").read_text())["sentence"] == found["sentence"]
    assert {Path(file).suffix for file in found["files"]} >= {".json", ".png", ".svg"}


@pytest.mark.parametrize("kind", ["stability", "shots", "cases", "answers", "pairs"])
def test_an_analysis_of_one_run_says_how_to_do_several(
    run: Path, others: list[Path], tmp_path: Path, kind: str
) -> None:
    with pytest.raises(UsageError, match=f"{kind} is about one run, and 3 were named: call it"):
        analyze.run(AnalyzeRequest(kind, [run, *others], out=tmp_path))


def test_the_page_draws_every_layers_interval(run: Path) -> None:
    assert (run / "report.html").read_text().count('class="whisker"') == LAYERS


def test_many_runs_are_corrected_for_being_many(folder: Path, tmp_path: Path, request_for) -> None:
    asked = request_for(folder / "first.jsonl", out=tmp_path / "many")
    rows = [json.loads(line) for line in (folder / "first.jsonl").read_text().splitlines()]
    both = tmp_path / "both.jsonl"
    both.write_text(
        "".join(json.dumps(row | {"category": f"c{i % 2}"}) + "\n" for i, row in enumerate(rows))
    )
    document = run_probes(replace(asked, task=f"{both}:*", shots=10), SILENT).to_json()
    found = document["discoveries"]
    assert found["rate"] == 0.05
    assert len(found["tasks"]) + len(found["kept"]) == 2
    assert all(task["q_value"] >= task["p_value"] for task in found["tasks"])


def test_every_pair_of_layers_is_measured_and_its_cost_told(
    folder: Path, tmp_path: Path, request_for
) -> None:
    task = folder / "last.jsonl"
    run_probe(request_for(task, shots=4, out=tmp_path / "run"), SILENT)
    found = analyze.run(
        AnalyzeRequest("pairs", [tmp_path / "run"], out=tmp_path, full=True)
    ).to_json()
    assert found["pairs_evaluated"] == LAYERS * (LAYERS - 1) // 2
    assert found["layers"] == list(range(LAYERS))
    assert all(gain is not None for row in found["gains"] for gain in row)
    naive = 4 * LAYERS * (LAYERS + found["pairs_evaluated"])
    assert 0 < found["layer_evaluations"] <= naive
    assert f"{found['layer_evaluations']:,} layer evaluations" in found["sentence"]
    assert (tmp_path / "pairs.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "pairs.svg").read_text()
    out = tmp_path / "patched"
    line = shlex.split(found["export"].replace("--out OUT", f"--out {out}"))
    assert CliRunner().invoke(app, line[1:]).exit_code == 0
    assert list(read_manifest(out).knockout.layers) == sorted(found["best"]["layers"])
    with pytest.raises(UsageError, match="--full is about pairs"):
        analyze.run(AnalyzeRequest("vectors", [tmp_path / "run"], out=tmp_path, full=True))
