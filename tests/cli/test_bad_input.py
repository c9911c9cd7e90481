"""Bad input: one clear sentence, a status, the base untouched and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from planted_case import Planted
from typer.testing import CliRunner

from talo_export.cli.app import app


@pytest.fixture
def base(planted: Planted, tmp_path: Path) -> Path:
    """A copy of the planted model that a test may damage."""
    return Path(shutil.copytree(planted.model, tmp_path / "base"))


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == [], "something half-written was left"


def refused(*arguments: object, status: int) -> str:
    """The one sentence a failing command prints."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--quiet"])
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 or "rows" in result.stderr
    return result.stderr


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def task_file(folder: Path, *rows: object) -> Path:
    path = folder / "task.jsonl"
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


ROW = {"question": "Which?", "choices": ["this", "that"], "answer": "A"}


def test_an_unknown_model() -> None:
    assert "no/such/model" in refused("probe", "--model", "./no/such/model", status=1)


def test_an_unknown_task_suggests_the_nearest() -> None:
    assert "scienceqa/maps" in refused("probe", "--task", "scienceqa/mapps", status=2)


def test_a_layer_out_of_range_names_the_layers(base: Path) -> None:
    said = refused("export", "--model", base, "--layer", 99, "--out", "out", status=2)
    assert "layer 99" in said
    assert "0 to 4" in said


def test_an_empty_task_file(base: Path, tmp_path: Path) -> None:
    said = refused("probe", "--model", base, "--task", task_file(tmp_path), status=1)
    assert "task.jsonl" in said


def test_a_malformed_row_names_row_and_field(base: Path, tmp_path: Path) -> None:
    task = task_file(tmp_path, ROW, {**ROW, "question": "Other?", "answer": "Z"})
    said = refused("probe", "--model", base, "--task", task, status=1)
    assert "2" in said
    assert "answer" in said


def test_broken_json_names_the_line(base: Path, tmp_path: Path) -> None:
    said = refused(
        "probe", "--model", base, "--task", task_file(tmp_path, ROW, '{"quest'), status=1
    )
    assert "2" in said


def test_duplicate_ids_name_both_rows(base: Path, tmp_path: Path) -> None:
    task = task_file(tmp_path, {**ROW, "id": "x"}, {**ROW, "id": "y"}, {**ROW, "id": "x"})
    said = refused("probe", "--model", base, "--task", task, status=1)
    assert "'x'" in said or "x" in said
    assert "1" in said
    assert "3" in said


def test_a_missing_image_is_named(base: Path, tmp_path: Path) -> None:
    task = task_file(tmp_path, {**ROW, "image": "nowhere.png"})
    assert "nowhere.png" in refused("probe", "--model", base, "--task", task, status=1)


def test_a_broken_image_is_named(base: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    task = task_file(tmp_path, {**ROW, "image": "broken.png"})
    assert "broken.png" in refused("probe", "--model", base, "--task", task, status=1)


def test_too_few_items_for_the_shots(planted: Planted) -> None:
    said = refused(
        "probe", "--model", planted.model, "--task", planted.task, "--shots", 90, status=2
    )
    assert "90" in said


def test_an_output_that_exists_is_left_alone(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("important")
    before = contents(base)
    refused("export", "--model", base, "--layer", 1, "--out", out, status=2)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    assert contents(base) == before


def test_an_output_inside_the_base_is_refused(base: Path) -> None:
    before = contents(base)
    refused("export", "--model", base, "--layer", 1, "--out", base / "out", status=2)
    assert contents(base) == before


def test_pickled_weights_are_refused_with_the_way_to_convert_them(base: Path) -> None:
    for shard in base.glob("*.safetensors*"):
        shard.unlink()
    (base / "pytorch_model.bin").write_bytes(b"pickle")
    said = refused("export", "--model", base, "--layer", 1, "--out", "out", status=1)
    assert "pickled" in said
    assert "save_pretrained" in said


def test_a_truncated_shard_is_named(base: Path) -> None:
    shard = max(base.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-100])
    said = refused("export", "--model", base, "--layer", 1, "--out", "out", status=1)
    assert shard.name in said


def test_an_index_that_names_a_missing_shard(base: Path) -> None:
    shard = max(base.glob("*.safetensors"))
    shard.unlink()
    said = refused("export", "--model", base, "--layer", 1, "--out", "out", status=1)
    assert shard.name in said


def test_a_run_that_is_none(tmp_path: Path) -> None:
    assert "is not a run" in refused("export", "--run", tmp_path, "--out", "out", status=1)


def test_an_export_without_a_layer(base: Path) -> None:
    assert "--layer" in refused("export", "--model", base, "--out", "out", status=2)


def test_a_directory_that_is_no_export(base: Path) -> None:
    assert "talo_export.json" in refused("verify", base, status=1)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (("probe", "--criterion", "best"), "'best'"),
        (("probe", "--device", "gpu"), "'gpu'"),
        (("probe", "--min-gain", "nan"), "--min-gain is nan"),
        (("probe", "--min-gain", 500), "--min-gain is 500"),
        (("compare", "--seeds", 0), "--seeds is 0"),
        (("compare", "--test-limit", -1), "--test-limit is -1"),
        (("compare", "--estimate", "--methods", "foo"), "'foo'"),
        (("evaluate", "--limit", 0), "--limit is 0"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_option(
    line: tuple[object, ...], names: str
) -> None:
    assert names in refused(*line, status=2)


def test_a_word_that_is_no_choice_is_told_with_all_there_are() -> None:
    done = CliRunner().invoke(app, ["export", "--layer", "1", "--as", "gguf"])
    assert done.exit_code == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert "Invalid value for '--as': 'gguf' is not one of 'checkpoint', 'adapter'." in said
