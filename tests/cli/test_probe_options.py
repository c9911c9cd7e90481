"""Options of the sweep, through the command line, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from planted_case import LAYERS, Planted
from probe_models import byte_tokenizer, text_config
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

from talo_export.cli.app import app
from talo_export.requests.settings import InferenceSettings
from talo_export.runs.loading import load_for_inference


def run(planted: Planted, out: Path, *more: object, task: Path | None = None) -> Any:
    return CliRunner().invoke(
        app,
        ["probe", "--model", str(planted.model), "--task", str(task or planted.task), "--out",
         str(out), "--scoring", "likelihood", "--criterion", "accuracy", "--no-checkpoint",
         *map(str, more)],
    )  # fmt: skip


def probed(planted: Planted, out: Path, *more: object, task: Path | None = None) -> dict[str, Any]:
    result = run(planted, out, "--json", *more, task=task)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture
def long_task(planted: Planted, tmp_path: Path) -> Path:
    """The planted task with two items that no context of 512 tokens holds."""
    rows = [json.loads(row) for row in planted.task.read_text().splitlines()]
    for number in (3, 40):
        rows[number]["question"] = "x" * 600
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_item_longer_than_the_context_is_named(
    planted: Planted, long_task: Path, tmp_path: Path
) -> None:
    refused = run(planted, tmp_path / "run", "--shots", "all", "--quiet", task=long_task)
    assert refused.exit_code == 1
    assert "error: item 'item-03' takes" in refused.stderr
    assert "--skip-too-long" in refused.stderr


def test_items_longer_than_the_context_are_skipped_and_counted(
    planted: Planted, long_task: Path, tmp_path: Path
) -> None:
    options = ("--shots", "all", "--skip-too-long")
    document = probed(planted, tmp_path / "run", *options, task=long_task)
    assert document["too_long"] == ["item-03", "item-40"]
    assert document["probe"]["n"] == 88
    assert not {"item-03", "item-40"} & set(document["probe"]["ids"])
    shown = run(planted, tmp_path / "run", *options, task=long_task)
    assert "2 items longer than the context were left out" in shown.stdout


def test_an_evaluation_skips_and_counts_them_too(
    planted: Planted, long_task: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        app,
        ["evaluate", "--model", str(planted.model), "--task", str(long_task), "--scoring",
         "likelihood", "--skip-too-long", "--json", "--out", str(tmp_path / "answers")],
    )  # fmt: skip
    document = json.loads(result.stdout)
    assert (document["n"], len(document["items"])) == (88, 88)
    assert document["too_long"] == ["item-03", "item-40"]


def test_one_item_of_the_sweep_and_one_of_the_confirmation_are_checked_and_counted_apart(
    planted: Planted, tmp_path: Path
) -> None:
    cost = probed(planted, tmp_path / "run", "--shots", 20)["cost"]
    assert cost["check_evaluations"] == (LAYERS + 1) * LAYERS + 2 * LAYERS


def test_the_naive_engine_takes_longer_and_gives_the_same_scores(
    planted: Planted, tmp_path: Path
) -> None:
    usual = probed(planted, tmp_path / "usual", "--shots", 20)
    plain = probed(planted, tmp_path / "plain", "--shots", 20, "--engine", "naive")
    assert plain["probe"]["gains"] == usual["probe"]["gains"]
    assert plain["probe"]["margin_gains"] == pytest.approx(usual["probe"]["margin_gains"], abs=1e-4)
    assert plain["confirm"] == usual["confirm"]
    assert plain["cost"]["layer_evaluations"] == plain["cost"]["layer_evaluations_naive"]
    assert usual["cost"]["layer_evaluations"] < usual["cost"]["layer_evaluations_naive"]


def test_engines_that_share_work_are_not_the_users_to_name(
    planted: Planted, tmp_path: Path
) -> None:
    refused = run(planted, tmp_path / "run", "--engine", "lockstep", "--quiet")
    assert refused.exit_code == 2
    assert "'lockstep' is not one of" in refused.stderr


@pytest.fixture
def short_task(planted: Planted, tmp_path: Path) -> Path:
    """A dozen of the planted items."""
    path = tmp_path / "short.jsonl"
    path.write_text("".join(planted.task.read_text().splitlines(keepends=True)[:12]))
    return path


def test_a_model_that_stays_on_disk_is_probed_like_one_in_memory(
    planted: Planted, short_task: Path, tmp_path: Path
) -> None:
    usual = probed(planted, tmp_path / "usual", "--shots", 6, task=short_task)
    options = ("--device-map", "disk", "--offload", tmp_path / "weights")
    found = probed(planted, tmp_path / "disk", "--shots", 6, *options, task=short_task)
    assert found["probe"]["gains"] == usual["probe"]["gains"]
    assert found["confirm"] == usual["confirm"]
    assert found["cost"]["layer_evaluations"] == usual["cost"]["layer_evaluations"]
    settings = InferenceSettings(
        str(planted.model), device_map="disk", offload=tmp_path / "weights"
    )
    assert {one.device.type for one in load_for_inference(settings).model.parameters()} == {"meta"}


@pytest.mark.parametrize("layers", [0, 1])
def test_a_model_of_no_layer_is_refused_and_one_of_one_layer_is_swept(
    short_task: Path, tmp_path: Path, layers: int
) -> None:
    LlamaForCausalLM(text_config(layers)).save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    small = Planted(tmp_path / "model", short_task)
    if layers:
        document = probed(small, tmp_path / "run", "--shots", 6)
        assert (document["layers"], len(document["probe"]["gains"])) == (1, 1)
    else:
        refused = run(small, tmp_path / "run", "--shots", 6, "--quiet")
        assert refused.exit_code == 1
        assert "error: the model has no decoder layers to knock out" in refused.stderr
