"""`--dtype auto` is no format that the processor emulates: both answers, and what overrides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_models import learnable_task, write_llama
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

from talo_export.cli.app import app
from talo_export.models import dtypes
from talo_export.models.dtypes import is_native, settled_dtype


@pytest.fixture(params=["bfloat16", "float16"])
def half(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model stored in half precision."""
    return stored_as(request.param, tmp_path / "half")


def stored_as(dtype: str, directory: Path) -> Path:
    write_llama(directory)
    model = LlamaForCausalLM.from_pretrained(directory).to(getattr(torch, dtype))
    model.save_pretrained(directory)
    return directory


def native(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    """Let this processor be one that has, or has not, the instructions for half precision."""
    monkeypatch.setattr(dtypes, "is_native", lambda dtype: answer)


def test_where_the_format_is_emulated_auto_is_float32(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, False)
    assert settled_dtype("auto", str(half), device="cpu") == "float32"
    config = json.loads((half / "config.json").read_text())
    del config["dtype"]
    (half / "config.json").write_text(json.dumps(config))
    assert settled_dtype("auto", str(half), device="cpu") == "float32"


def test_where_the_format_is_native_auto_is_as_stored(
    half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, True)
    assert settled_dtype("auto", str(half), device="cpu") == "auto"


def test_what_is_asked_for_is_what_is_taken(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native(monkeypatch, False)
    for dtype in ("float32", "bfloat16", "float16"):
        assert settled_dtype(dtype, str(half), device="cpu") == dtype
    assert settled_dtype("auto", str(half), device_map="auto") == "auto"


def test_a_model_in_float32_or_too_large_for_it_stays_as_stored(
    half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, False)
    assert settled_dtype("auto", str(write_llama(tmp_path / "whole")), device="cpu") == "auto"
    monkeypatch.setattr(dtypes, "FITS", 1e-9)
    assert settled_dtype("auto", str(half), device="cpu") == "auto"


def test_torchs_word_for_this_processor_is_taken_and_else_it_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask = is_native.__wrapped__
    for words, expected in (({}, False), ({"amx_bf16": True}, True), ({"avx512_bf16": True}, True)):
        said = {"architecture": "x86_64", "avx512_bf16": False, **words}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda said=said: said)
        assert ask(torch.bfloat16) is expected
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    for slower, expected in ((torch.bfloat16, False), (torch.float32, True)):
        monkeypatch.setattr(dtypes, "seconds_of", lambda dtype, slower=slower: dtype == slower)
        assert ask(torch.bfloat16) is expected


def test_a_measurement_takes_no_time_to_speak_of() -> None:
    assert 0 < dtypes.seconds_of(torch.float32) < 0.5


@pytest.mark.parametrize("answer", [False, True])
def test_a_probe_tells_records_and_proves_what_it_computes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    native(monkeypatch, answer)
    model = stored_as("bfloat16", tmp_path / "model")
    task = tmp_path / "task.jsonl"
    rows = [
        {"id": i.id, "prompt": i.prompt, "choices": i.choices, "answer": i.answer}
        for i in learnable_task(24).items
    ]
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = [
        "probe", "--model", str(model), "--task", str(task), "--out", str(tmp_path / "run"),
        "--shots", "8", "--min-gain", "-100", "--scoring", "likelihood", "--device", "cpu",
        "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["dtype"] == ("bfloat16" if answer else "float32")
    request = json.loads((tmp_path / "run" / "manifest.json").read_text())["request"]
    assert request["dtype"] == ("auto" if answer else "float32")
    if document["checkpoint"] is not None:
        assert document["proof"]["answers"] == 16
    again = CliRunner().invoke(app, line)
    assert json.loads(again.stdout) == document
    kept = str(tmp_path / "answers")
    evaluate = ["evaluate", "--out", kept, *line[1:5], *line[-5:]]
    assert json.loads(CliRunner().invoke(app, evaluate).stdout)["dtype"] == document["dtype"]
    told = " ".join(CliRunner().invoke(app, evaluate[:-1]).stderr.split())
    assert ("it computes in float32" in told) is not answer


def test_a_run_of_an_earlier_version_goes_on_as_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, True)
    model = stored_as("bfloat16", tmp_path / "model")
    task = tmp_path / "task.jsonl"
    task.write_text("".join(
        json.dumps({"id": str(n), "prompt": "x" * n, "choices": ["a", "b"], "answer": 0}) + "\n"
        for n in range(1, 7)
    ))  # fmt: skip
    line = [
        "probe", "--model", str(model), "--task", str(task), "--out", str(tmp_path / "run"),
        "--shots", "all", "--scoring", "likelihood", "--device", "cpu", "--json",
    ]  # fmt: skip
    assert CliRunner().invoke(app, line).exit_code == 0
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"result": None}))
    native(monkeypatch, False)
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["dtype"] == "bfloat16"
