"""Shards that lie in folders of their own, as an index may say, are shards like any other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.diff import diff_checkpoints
from talo_export.checkpoint.layout import INDEX
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout

LAYER = 1


@pytest.fixture
def nested(sharded: Path) -> Path:
    """The sharded base, every shard in one of two folders below it."""
    index = json.loads((sharded / INDEX).read_text())
    places = {}
    for number, shard in enumerate(sorted(set(index["weight_map"].values()))):
        places[shard] = f"weights/part {number % 2}/{shard}"
        (sharded / places[shard]).parent.mkdir(parents=True, exist_ok=True)
        (sharded / shard).rename(sharded / places[shard])
    index["weight_map"] = {name: places[shard] for name, shard in index["weight_map"].items()}
    (sharded / INDEX).write_text(json.dumps(index))
    return sharded


@pytest.fixture
def plan(nested: Path) -> EditPlan:
    return plan_export(nested, Knockout(LAYER), checkpoint_anatomy(nested))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_they_are_cut_in_place_verified_and_load(
    nested: Path, plan: EditPlan, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_export(plan, out, base="base")
    report = verify_files(out, nested)
    assert report.ok
    assert {Path(name).parts[0] for name in report.edited} == {"weights"}
    before, after = contents(nested), contents(out)
    assert after.keys() == before.keys() | {"talo_export.json"}
    assert {name for name in before if before[name] != after[name]} == set(report.edited)
    model, loading = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(loading[keys] for keys in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    cut = model.model.layers[LAYER].self_attn
    assert all(not torch.any(parameter) for parameter in cut.parameters())


def test_their_base_comes_back_from_the_undo_file(
    nested: Path, plan: EditPlan, tmp_path: Path
) -> None:
    write_export(plan, tmp_path / "out", base="base", keep_undo=True)
    undo_export(tmp_path / "out", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(nested)


def test_their_tensors_are_told_apart_wherever_the_other_checkpoint_has_them(
    nested: Path, plan: EditPlan, tmp_path: Path
) -> None:
    write_export(plan, tmp_path / "out", base="base")
    AutoModelForCausalLM.from_pretrained(nested).save_pretrained(tmp_path / "flat")
    assert diff_checkpoints(tmp_path / "flat", nested).differences == ()
    differences = diff_checkpoints(tmp_path / "flat", tmp_path / "out").differences
    assert {difference.layer for difference in differences} == {LAYER}
    assert all(difference.zero_in_b for difference in differences)


def test_untouched_ones_become_hard_links(nested: Path, plan: EditPlan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_export(plan, out, base="base", link=True)
    edited = {edit.file for edit in plan.edits}
    shards = {str(path.relative_to(nested)) for path in nested.rglob("*.safetensors")}
    assert edited
    assert edited < shards
    for name in shards:
        assert os.path.samefile(nested / name, out / name) == (name not in edited)
    assert verify_files(out, nested).ok
