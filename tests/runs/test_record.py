"""What a manifest keeps of a run, and what a card makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from results import CALIBRATION, MANIFEST, RECORD, comparison, probe_result, row

from talo_export.checkpoint.manifest import parse_manifest
from talo_export.commands import probe_task
from talo_export.requests.measurements import ProbeRequest
from talo_export.runs.record import record_of_manifest, record_of_run, without_folders
from talo_export.tasks.hub_source import HubSource, hub_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_picture_on_the_card_names_no_folder_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(probe_task, "draw_layers", lambda *given, **options: drawn.update(options))
    request = ProbeRequest("/home/me/my-vlm", task="/home/me/shots.jsonl")
    findings = SimpleNamespace(
        probed=SimpleNamespace(table=None), selection=None, confirmation=None, knockout=None
    )
    run = SimpleNamespace(plot=Path("layers.png"))
    probe_task.draw_gains(request, SimpleNamespace(name="shots"), findings, run)  # type: ignore[arg-type]
    assert drawn["title"] == "my-vlm, shots"


def test_no_folder_of_this_machine_is_kept() -> None:
    task = record_of_run(
        probe_result(
            task_source="/home/me/data/POPE pope/popular",
            command="talo-export probe --model /home/me/my-vlm --task pope/popular "
            "--data /home/me/data",
        )
    ).task
    assert task is not None
    assert task.task_source == "POPE pope/popular"
    assert task.command == "talo-export probe --model my-vlm --task pope/popular --data data"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/quiz.csv:metals", "quiz.csv:metals"),
        ("/tmp/a.yaml on hf://owner/name@" + COMMIT, "a.yaml on hf://owner/name@" + COMMIT),
        ("bundled demo", "bundled demo"),
    ],
)
def test_a_source_is_told_without_its_folder(text: str, shown: str) -> None:
    assert without_folders(text) == shown


def test_the_gain_after_calibration_is_kept_with_the_confirmation() -> None:
    kept = record_of_run(probe_result())
    assert kept.confirmation is not None
    assert kept.confirmation.calibrated_gain == CALIBRATION.calibrated.gain
    without = record_of_run(probe_result(evidence=None)).confirmation
    assert without is not None
    assert without.calibrated_gain is None


def test_a_record_is_read_back_as_it_was_written() -> None:
    manifest = replace(MANIFEST, **RECORD.to_json())
    assert record_of_manifest(parse_manifest(json.loads(manifest.to_bytes()), "it")) == RECORD


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (f"hf://lmms-lab/POPE@{COMMIT} pope/popular", HubSource("lmms-lab/POPE", COMMIT)),
        (f"mine.yaml on hf://o/n@{COMMIT}", HubSource("o/n", COMMIT)),
        ("POPE pope/popular", None),
        ("hf://owner/name@main test", None),
    ],
)
def test_a_data_set_of_the_hub_is_read_out_of_a_source(
    source: str, found: HubSource | None
) -> None:
    assert hub_source(source) == found


def test_of_a_comparison_its_table_is_kept_and_no_path() -> None:
    killed = row("lora", None, reasons=("killed (/home/me/runs/cells/lora.log)",))
    kept = record_of_run(probe_result(), comparison=comparison(methods=(killed,))).comparison
    assert kept is not None
    assert set(kept.to_json()) == {"test_n", "methods", "verdicts", "break_even"}
    assert "/home" not in str(kept.to_json())
    assert "reasons" not in kept.to_json()["methods"][0]
