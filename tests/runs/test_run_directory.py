"""A run's directory: resumable by the same request, closed to another."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from results import probe_result

from talo_export.checkpoint.staging import write_atomically
from talo_export.errors import TaloError
from talo_export.probing.settings import Scoring
from talo_export.runs.directory import RunDirectory, default_directory

REQUEST: dict[str, Any] = {
    "scores": {"model_fingerprint": "f"},
    "dtype": "auto",
    "scoring": {"kind": "generate"},
    "task_reference": "t",
    "seed": 0,
}


def test_a_new_run_records_its_request_and_has_no_result(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open(REQUEST, fresh=False)
    assert (run.request().task_reference, run.request().scoring) == ("t", Scoring())
    assert run.result() is None
    with pytest.raises(TaloError, match="is not finished"):
        run.finished()


def test_a_finished_run_gives_its_result_to_the_same_request(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open(REQUEST, fresh=False)
    run.finish(probe_result())
    run.open(REQUEST, fresh=False)
    assert run.result() == run.finished() == probe_result()


def test_a_result_of_another_version_is_read_and_a_damaged_one_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open(REQUEST, fresh=False)
    old = probe_result().to_json()
    old["probe"] |= {"race": None, "seen": [20] * 28}
    old["evidence"] |= {"noise_floor": None}
    del old["cost"]["threads"]
    recorded = json.loads(run.manifest.read_text())
    run.manifest.write_text(json.dumps(recorded | {"result": old}))
    assert run.finished().probe == probe_result().probe
    del old["probe"]["gains"]
    run.manifest.write_text(json.dumps(recorded | {"result": old}))
    with pytest.raises(TaloError, match=r"manifest\.json lacks the field 'probe\.gains'"):
        run.finished()


def test_another_request_is_refused_naming_what_differs(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open(REQUEST, fresh=False)
    with pytest.raises(TaloError, match=r"seed \(recorded 0, asked 1\)") as refused:
        run.open({**REQUEST, "seed": 1}, fresh=False)
    assert "--fresh" in str(refused.value)
    assert "task" not in str(refused.value).split(":", 1)[1].split(".")[0]


def test_a_run_recorded_with_a_retired_option_at_its_default_is_gone_on_with(
    tmp_path: Path,
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open({**REQUEST, "race": None}, fresh=False)
    run.open(REQUEST, fresh=False)
    with pytest.raises(TaloError, match=r"seed \(recorded 0, asked 1\)") as refused:
        run.open({**REQUEST, "seed": 1}, fresh=False)
    assert "race" not in str(refused.value)


def test_a_run_made_with_a_retired_option_is_refused_in_a_sentence_that_says_what_reads_it(
    tmp_path: Path,
) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open({**REQUEST, "race": 0.05}, fresh=False)
    with pytest.raises(TaloError, match=r"was made with --race, .* report and analyze read it"):
        run.open(REQUEST, fresh=False)
    assert json.loads(run.manifest.read_text())["request"]["race"] == 0.05
    run.open(REQUEST, fresh=True)
    assert json.loads(run.manifest.read_text())["request"] == REQUEST


def test_fresh_starts_over_but_leaves_foreign_files(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.open(REQUEST, fresh=False)
    run.journal.write_bytes(b"old scores")
    (run.path / "notes.txt").write_text("mine")
    run.finish(probe_result())
    run.open({**REQUEST, "seed": 1}, fresh=True)
    assert json.loads(run.manifest.read_text())["request"]["seed"] == 1
    assert not run.journal.exists()
    assert (run.path / "notes.txt").read_text() == "mine"


def test_a_directory_of_something_else_is_never_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(TaloError, match="is not a run"):
        RunDirectory(tmp_path).open(REQUEST, fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.manifest.write_text('{"format": 1, "requ')
    with pytest.raises(TaloError, match=r"manifest\.json is not readable as JSON"):
        run.open(REQUEST, fresh=False)


def test_names_become_safe_directories() -> None:
    assert default_directory("owner/name@v1", "scienceqa/maps") == Path(
        "runs/name-v1/scienceqa-maps"
    )
    assert default_directory("/models/x/", "..") == Path("runs/x/unnamed")


def test_what_cannot_be_written_is_named_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "open", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="Read-only") as refused:
        write_atomically(tmp_path / "report.html", "page")
    assert refused.value.filename == str(tmp_path / "report.html")
