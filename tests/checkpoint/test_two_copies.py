"""A single file and an index beside it: whichever an engine loads, the layer is cut."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.diff import diff_checkpoints
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.commands import inspect
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.requests.checkpoints import InspectRequest

IDS = torch.tensor([[3, 9, 27, 17]])


@pytest.fixture
def both(sharded: Path, built: dict[str, tuple[Path, Decoder]]) -> Path:
    shutil.copy(built["single"][0] / "model.safetensors", sharded)
    return sharded


@pytest.fixture
def export(both: Path, tmp_path: Path) -> Path:
    plan = plan_export(both, Knockout(1), checkpoint_anatomy(both))
    assert any("second copy" in warning for warning in plan.warnings)
    write_export(plan, tmp_path / "out", base="base", keep_undo=True)
    return tmp_path / "out"


def logits(directory: Path) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(directory).eval()(IDS).logits


def test_both_copies_answer_alike_and_are_cut(export: Path, both: Path) -> None:
    whole = logits(both)
    single = logits(export)
    (export / "model.safetensors").unlink()
    assert torch.equal(single, logits(export))
    assert not torch.equal(single, whole)


def test_it_is_verified_and_undone(export: Path, both: Path, tmp_path: Path) -> None:
    report = verify_files(export, both)
    assert report.ok
    assert len(report.tensors.filled) == 2 * len(set(report.tensors.filled))
    undo_export(export, tmp_path / "back")
    for path in both.rglob("*.*"):
        assert (tmp_path / "back" / path.relative_to(both)).read_bytes() == path.read_bytes()


def test_a_difference_in_the_second_copy_alone_is_seen(export: Path, both: Path) -> None:
    changed = {difference.tensor for difference in diff_checkpoints(both, export).differences}
    shutil.copy(both / "model.safetensors", export)
    again = diff_checkpoints(both, export)
    assert {difference.tensor for difference in again.differences} == changed
    assert len(changed) == 4


def test_inspect_says_that_there_are_two(both: Path) -> None:
    assert any(
        "second copy" in warning for warning in inspect.run(InspectRequest(str(both))).warnings
    )
