"""Verification accounts for every file of the export and of the base, and for every number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from talo_export.checkpoint.manifest import MANIFEST
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import ProofError, TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder

UNDO = "talo_export_undo.safetensors"
EXTRA = {"README.md": b"# ours", "layers.png": b"png"}
SELECTION = {
    "n": 2,
    "ids": ["a", "b"],
    "base_accuracy": 0.5,
    "accuracy": [0.5, 1.0, 0.0],
    "gains": [0.0, 0.5, -0.5],
}
CONFIRMATION = {
    "n": 40,
    "base_accuracy": 0.5,
    "accuracy": 0.6,
    "gain": 0.1,
    "ci95": [0.02, 0.18],
    "p_value": 0.02,
    "verdict": "confirmed",
}


@pytest.fixture
def export(single: Path, llama: Decoder, tmp_path: Path) -> Path:
    write_export(
        plan_export(single, Knockout(1), llama),
        tmp_path / "out",
        base="base",
        extra=EXTRA,
        keep_undo=True,
        about={"selection": SELECTION, "confirmation": CONFIRMATION},
    )
    return tmp_path / "out"


def change_manifest(export: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((export / MANIFEST).read_bytes())
    change(document)
    (export / MANIFEST).write_text(json.dumps(document))


def test_the_files_that_were_added_are_as_they_were_written(export: Path, single: Path) -> None:
    report = verify_files(export, single)
    assert report.ok
    assert set(report.added) == {*EXTRA, UNDO, MANIFEST}


@pytest.mark.parametrize("name", [*EXTRA, UNDO])
@pytest.mark.parametrize("change", ["edited", "emptied", "gone"])
def test_a_change_to_an_added_file_is_found(export: Path, name: str, change: str) -> None:
    content = (export / name).read_bytes()
    if change == "gone":
        (export / name).unlink()
    else:
        (export / name).write_bytes(b"" if change == "emptied" else content[:-1] + b"~")
    report = verify_files(export)
    assert not report.ok
    assert (report.missing if change == "gone" else report.wrong) == (name,)


def test_an_export_of_an_earlier_version_still_verifies(export: Path, single: Path) -> None:
    change_manifest(export, lambda document: document.pop("added_sha256"))
    report = verify_files(export, single)
    assert report.ok
    assert set(report.unchecked) == {*EXTRA, UNDO}
    (export / UNDO).write_bytes(b"broken")
    assert verify_files(export).wrong == (UNDO,)


def test_files_of_the_base_that_the_export_never_had_are_missing(
    export: Path, single: Path
) -> None:
    (single / "extra" / "processor.json").write_text("{}")
    report = verify_files(export, single)
    assert not report.ok
    assert report.missing == ("extra/processor.json",)
    with pytest.raises(ProofError, match=r"processor\.json"):
        undo_export(export, export.parent / "back", base=single)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("confirmation", {"gain": 0.3}),
        ("confirmation", {"accuracy": 0.7}),
        ("confirmation", {"accuracy": 1.2, "gain": 0.7, "ci95": [0.6, 0.8]}),
        ("confirmation", {"ci95": [-0.02, 0.18]}),
        ("confirmation", {"ci95": [0.12, 0.18]}),
        ("confirmation", {"verdict": "unconfirmed"}),
        ("confirmation", {"verdict": "harmful"}),
        ("confirmation", {"n": 0}),
        ("confirmation", {"n": 7}),
        ("confirmation", {"gain": float("nan")}),
        ("confirmation", {"ci95": None}),
        ("confirmation", {"n": "many"}),
        ("confirmation", {"p_value": 2.0}),
        ("selection", {"gains": [0.0, 0.9, -0.5]}),
        ("selection", {"n": 3}),
        ("selection", {"gains": [0.0], "accuracy": [0.5]}),
        ("selection", {"gains": None}),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(
    export: Path, part: str, changes: dict[str, Any]
) -> None:
    assert not verify_files(export).contradictions
    change_manifest(export, lambda document: document[part].update(changes))
    report = verify_files(export)
    assert not report.ok
    assert report.contradictions


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_undo_compares_what_it_rebuilt_with_the_base(export: Path, single: Path, name: str) -> None:
    """The manifest was made to agree with the change: only the base can tell."""
    (export / name).write_text('{"other": 1}')
    change_manifest(export, lambda document: document["files"][name].update(sha256=None))
    with pytest.raises(ProofError, match=name):
        undo_export(export, export.parent / "back", base=single)
    assert not (export.parent / "back").exists()


def test_undo_refuses_a_file_that_nothing_vouches_for(export: Path, single: Path) -> None:
    change_manifest(export, lambda document: document["files"]["config.json"].update(sha256=None))
    with pytest.raises(UsageError, match="--base"):
        undo_export(export, export.parent / "back")
    assert undo_export(export, export.parent / "back", base=single).checked


def test_undo_takes_no_file_from_another_base(export: Path, single: Path) -> None:
    (single / "tokenizer.json").unlink()
    with pytest.raises(TaloError, match=r"tokenizer\.json"):
        undo_export(export, export.parent / "back", base=single)
