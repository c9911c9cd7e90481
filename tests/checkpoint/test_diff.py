"""Differences between any two checkpoints, whatever their shards."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from talo_export.checkpoint.diff import diff_checkpoints
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.writer import write_export
from talo_export.commands.diff import show
from talo_export.knockout import Knockout, knockout_of
from talo_export.models.anatomy import Decoder


def test_two_shardings_of_one_model_do_not_differ(built: dict[str, tuple[Path, Decoder]]) -> None:
    diff = diff_checkpoints(built["single"][0], built["sharded"][0])
    assert not diff.differences
    assert diff.identical > 0


def test_an_export_differs_from_its_base_in_the_planned_tensors(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    base, decoder = built["single"]
    plan = plan_export(base, Knockout(2), decoder)
    write_export(plan, tmp_path / "out", base="base")
    diff = diff_checkpoints(base, tmp_path / "out")
    assert {d.tensor for d in diff.differences} == {edit.tensor for edit in plan.edits}
    assert all(d.zero_in_b and d.change == "values" for d in diff.differences)
    back = diff_checkpoints(tmp_path / "out", base)
    assert all(d.zero_in_a and not d.zero_in_b for d in back.differences)
    assert {key[:2] for key in diff.by_module()} == {("model.layers", 2)}
    assert ("model.layers", 2, "self_attn.o_proj") in diff.by_module()


def test_of_heads_it_is_told_how_much_of_a_tensor_became_zero(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    base, decoder = built["single"]
    plan = plan_export(base, knockout_of(heads={2: (1,)}), decoder)
    write_export(plan, tmp_path / "out", base="base")
    for a, b, where in ((base, tmp_path / "out", "B"), (tmp_path / "out", base, "A")):
        (difference,) = diff_checkpoints(a, b).differences
        assert difference.tensor == "model.layers.2.self_attn.o_proj.weight"
        assert not difference.zero_in_a
        assert not difference.zero_in_b
        zeroed = (difference.zeroed_in_a, difference.zeroed_in_b)
        assert zeroed == ((0, 256) if where == "B" else (256, 0))
        console = Console(file=io.StringIO(), width=120)
        show(diff_checkpoints(a, b), console)
        assert f"25.0 % of it zero in {where}" in console.file.getvalue()


def test_shapes_types_and_names_that_differ_are_told_apart(tmp_path: Path) -> None:
    for name, tensors in {
        "a": {"same": torch.ones(3), "s": torch.ones(3), "t": torch.ones(2), "old": torch.ones(1)},
        "b": {"same": torch.ones(3), "s": torch.ones(4), "t": torch.ones(2).half(),
              "x.10.w": torch.ones(1), "x.9.w": torch.ones(1)},
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    diff = diff_checkpoints(tmp_path / "a", tmp_path / "b")
    assert [(d.tensor, d.change) for d in diff.differences] == [
        ("old", "only in a"),
        ("s", "shape"),
        ("t", "dtype"),
        ("x.9.w", "only in b"),
        ("x.10.w", "only in b"),
    ]
    assert diff.identical == 1
    assert diff.to_json()["differences"][1]["shape"] == [4]


def test_one_changed_byte_is_a_difference(single: Path, tmp_path: Path) -> None:
    tensors = load_file(single / "model.safetensors")
    tensors["model.norm.weight"][7] += 1e-6
    (tmp_path / "b").mkdir()
    save_file(tensors, tmp_path / "b" / "model.safetensors", metadata={"format": "pt"})
    diff = diff_checkpoints(single, tmp_path / "b")
    assert [d.tensor for d in diff.differences] == ["model.norm.weight"]
    assert not diff.differences[0].zero_in_b
