"""An export is the base byte for byte, but for the planned ranges and the files we add."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch
from heard import Heard
from safetensors.torch import load_file

from talo_export.checkpoint.hashing import file_sha256
from talo_export.checkpoint.manifest import read_manifest
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.staging import remove_leftovers, staged
from talo_export.checkpoint.undo import undo_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import ProofError, TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder

CARD = {"README.md": b"# ours", "layers.png": b"png", ".eval_results/maps.yaml": b"- a"}


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def changed_ranges(before: bytes, after: bytes) -> set[int]:
    assert len(before) == len(after)
    return {i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}


def planned_bytes(plan: EditPlan, file: str) -> set[int]:
    return {i for edit in plan.edits_of(file) for i in range(edit.offset, edit.end)}


@pytest.mark.parametrize("name", ["single", "sharded", "bf16", "gpt2"])
@pytest.mark.parametrize("scope", ["attention", "o_proj", "mlp", "layer"])
def test_only_planned_bytes_differ(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path, name: str, scope: str
) -> None:
    base, decoder = built[name]
    plan = plan_export(base, Knockout(1, scope), decoder)  # type: ignore[arg-type]
    out = tmp_path / "out"
    write_export(plan, out, base="base", extra=CARD)
    before, after = tree(base), tree(out)
    for file, content in before.items():
        stored = "BASE_README.md" if file == "README.md" else file
        assert changed_ranges(content, after[stored]) <= planned_bytes(plan, file)
    assert any(after[file] != before[file] for file in before if file.endswith(".safetensors"))
    added = set(after) - set(before)
    assert added == {"BASE_README.md", "layers.png", ".eval_results/maps.yaml", "talo_export.json"}


@pytest.mark.parametrize("name", ["single", "sharded", "bf16", "fp16", "gpt2"])
def test_every_tensor_of_the_layer_is_exactly_zero_and_no_other_changed(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path, name: str
) -> None:
    base, decoder = built[name]
    plan = plan_export(base, Knockout(0), decoder)
    write_export(plan, tmp_path / "out", base="base")
    targets = set(decoder.layers[0].attention[0].output + decoder.layers[0].attention[0].inputs)
    seen = set()
    for shard in base.glob("*.safetensors"):
        before, after = load_file(shard), load_file(tmp_path / "out" / shard.name)
        for tensor in before:
            if tensor in targets:
                seen.add(tensor)
                assert not after[tensor].view(torch.uint8).any()
            else:
                assert torch.equal(before[tensor], after[tensor])
    assert seen == targets


@pytest.mark.parametrize("fill", ["uniform", "mean"])
@pytest.mark.parametrize("name", ["single", "bf16", "fp16", "gpt2"])
def test_fills_equal_what_torch_fills_in_memory(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path, name: str, fill: str
) -> None:
    base, decoder = built[name]
    plan = plan_export(base, Knockout(1, "attention", fill), decoder)  # type: ignore[arg-type]
    write_export(plan, tmp_path / "out", base="base")
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    for edit in plan.edits:
        expected = before[edit.tensor].clone()
        if fill == "mean":
            expected.fill_(expected.double().mean().item())
        elif expected.dim() == 1:
            expected.zero_()
        else:
            expected.fill_(1 / expected.shape[-1 if name == "gpt2" else 0])
        assert torch.equal(after[edit.tensor], expected), edit.tensor


def test_files_get_the_modes_of_the_umask(single: Path, llama: Decoder, tmp_path: Path) -> None:
    (single / "model.safetensors").chmod(0o400)
    old = os.umask(0o027)
    try:
        write_export(plan_export(single, Knockout(0), llama), tmp_path / "out", base="base")
    finally:
        os.umask(old)
    assert (tmp_path / "out" / "model.safetensors").stat().st_mode & 0o777 == 0o640


def test_unchanged_files_keep_their_times_and_what_could_be_run_still_can(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    script = single / "extra" / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    for path in (script, single / "model.safetensors"):
        os.utime(path, ns=(10**18, 10**18))
    write_export(plan_export(single, Knockout(0), llama), tmp_path / "out", base="base")
    copied = (tmp_path / "out" / "extra" / "run.sh").stat()
    assert copied.st_mtime_ns == 10**18
    assert copied.st_mode & 0o100
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns != 10**18


def test_the_base_may_be_read_only(single: Path, llama: Decoder, tmp_path: Path) -> None:
    before = tree(single)
    for path in (single / "extra", single):
        path.chmod(0o500)
    try:
        write_export(plan_export(single, Knockout(0), llama), tmp_path / "out", base="base")
    finally:
        for path in (single, single / "extra"):
            path.chmod(0o700)
    assert tree(single) == before


def test_progress_ends_at_the_total(single: Path, llama: Decoder, tmp_path: Path) -> None:
    heard = Heard()
    plan = plan_export(single, Knockout(0), llama)
    write_export(plan, tmp_path / "out", base="b", reporter=heard)
    assert heard.steps[-1] == (plan.disk_needed, plan.disk_needed)


@pytest.mark.parametrize("where", [".", "inside", "extra/deeper"])
def test_an_output_inside_the_base_is_refused(single: Path, llama: Decoder, where: str) -> None:
    before = tree(single)
    with pytest.raises(UsageError):
        write_export(plan_export(single, Knockout(0), llama), single / where, base="base")
    assert tree(single) == before


def test_an_output_that_holds_the_base_or_exists_is_refused(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    plan = plan_export(single, Knockout(0), llama)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in (tmp_path, tmp_path / "there", tmp_path / "link"):
        with pytest.raises(UsageError):
            write_export(plan, out, base="base")


def test_a_base_that_changed_since_the_plan_is_refused(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    plan = plan_export(single, Knockout(0), llama)
    (single / "tokenizer.json").write_text("another")
    with pytest.raises(TaloError, match="changed since the plan"):
        write_export(plan, tmp_path / "new" / "out", base="base")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_nothing(
    single: Path, llama: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_export(single, Knockout(0), llama)
    usage = type("usage", (), {"free": plan.disk_needed - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(TaloError, match=r"iB free and the export needs \d"):
        write_export(plan, tmp_path / "out", base="base")
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_an_interruption_leaves_nothing(single: Path, llama: Decoder, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    plan = plan_export(single, Knockout(0), llama)
    with pytest.raises(KeyboardInterrupt):
        write_export(plan, tmp_path / "out", base="base", reporter=Heard(interrupt))
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_what_an_append_only_folder_keeps_is_named(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    folder = tmp_path / "append"
    folder.mkdir()
    if subprocess.run(["chattr", "+a", folder], capture_output=True).returncode:
        pytest.skip("no append-only folders on this file system, or not for this user")
    try:
        with pytest.raises(TaloError, match="could not be removed") as refusal:
            write_export(plan_export(single, Knockout(0), llama), folder / "out", base="base")
        (left,) = folder.iterdir()
    finally:
        subprocess.run(["chattr", "-a", folder], check=True)
    assert str(left) in str(refusal.value)
    assert "nothing was left" not in str(refusal.value)
    assert not list(left.iterdir())


def test_a_leftover_of_a_killed_run_is_removed_by_the_next(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    leftover = tmp_path / ".out.talo-partial-dead"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    write_export(plan_export(single, Knockout(0), llama), tmp_path / "out", base="base")
    assert not leftover.exists()


def test_the_directory_of_a_writer_at_work_is_left_alone(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    plan = plan_export(single, Knockout(0), llama)
    with staged(tmp_path / "out") as stage:
        (stage / "half").write_bytes(b"half")
        write_export(plan, tmp_path / "other", base="base")
        remove_leftovers(tmp_path / "out")
        assert (stage / "half").exists()
    assert (tmp_path / "out" / "half").exists()


def test_hard_links_share_untouched_shards_only(
    sharded: Path, llama: Decoder, tmp_path: Path
) -> None:
    before = tree(sharded)
    plan = plan_export(sharded, Knockout(0, "o_proj"), llama)
    write_export(plan, tmp_path / "out", base="base", link=True)
    edited = {edit.file for edit in plan.edits}
    shards = list(sharded.glob("*.safetensors"))
    assert len(edited) < len(shards)
    for shard in shards:
        assert shard.samefile(tmp_path / "out" / shard.name) == (shard.name not in edited)
    assert tree(sharded) == before
    assert verify_files(tmp_path / "out", sharded).ok


def test_the_manifest_reads_back_as_it_was_written(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    report = write_export(
        plan_export(single, Knockout(0), llama),
        tmp_path / "out",
        base="owner/name",
        revision="abc",
        extra=CARD,
        about={"task": {"name": "maps"}},
    )
    manifest = read_manifest(tmp_path / "out")
    assert manifest.base == "owner/name"
    assert manifest.revision == "abc"
    assert manifest.task == {"name": "maps"}
    assert manifest.files == report.manifest.files
    weights = manifest.files["model.safetensors"]
    assert weights.sha256 == file_sha256(single / "model.safetensors")
    assert weights.sha256_export == file_sha256(tmp_path / "out" / "model.safetensors")


@pytest.mark.parametrize("with_base", [False, True])
def test_a_fresh_export_verifies(
    sharded: Path, llama: Decoder, tmp_path: Path, with_base: bool
) -> None:
    plan = plan_export(sharded, Knockout(1), llama)
    write_export(plan, tmp_path / "out", base="base", extra=CARD, keep_undo=True)
    report = verify_files(tmp_path / "out", sharded if with_base else None)
    assert report.ok
    assert set(report.tensors.filled) == {edit.tensor for edit in plan.edits}
    assert set(report.edited) == {edit.file for edit in plan.edits}
    assert not report.unchecked


@pytest.mark.parametrize("with_base", [False, True])
@pytest.mark.parametrize("where", ["filled", "other tensor", "side file", "missing", "extra"])
def test_verification_sees_any_change(
    single: Path, llama: Decoder, tmp_path: Path, where: str, with_base: bool
) -> None:
    out = tmp_path / "out"
    plan = plan_export(single, Knockout(1), llama)
    write_export(plan, out, base="base")
    edit = plan.edits[0]
    if where in ("filled", "other tensor"):
        raw = bytearray((out / edit.file).read_bytes())
        raw[edit.offset + 5 if where == "filled" else len(raw) - 1] ^= 1
        (out / edit.file).write_bytes(raw)
    elif where == "side file":
        (out / "config.json").write_text("{}")
    elif where == "missing":
        (out / "tokenizer.json").unlink()
    else:
        (out / "new.txt").write_text("")
    report = verify_files(out, single if with_base else None)
    assert not report.ok
    if where == "filled":
        assert report.tensors.other == (edit.tensor,)
    if where == "other tensor":
        assert len(report.tensors.other) == with_base


@pytest.mark.parametrize("keep_undo", [False, True])
def test_undo_gives_back_every_byte_of_the_base(
    sharded: Path, llama: Decoder, tmp_path: Path, keep_undo: bool
) -> None:
    plan = plan_export(sharded, Knockout(1), llama)
    write_export(plan, tmp_path / "out", base="base", extra=CARD, keep_undo=keep_undo)
    undo_export(tmp_path / "out", tmp_path / "back", base=None if keep_undo else sharded)
    assert tree(tmp_path / "back") == tree(sharded)


def test_undo_without_originals_says_where_to_find_them(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    write_export(plan_export(single, Knockout(1), llama), tmp_path / "out", base="owner/name")
    with pytest.raises(UsageError, match="owner/name"):
        undo_export(tmp_path / "out", tmp_path / "back")


def test_undo_from_another_base_is_refused_and_leaves_nothing(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    plan = plan_export(single, Knockout(1), llama)
    write_export(plan, tmp_path / "out", base="base")
    edit = plan.edits[0]
    raw = bytearray((single / edit.file).read_bytes())
    raw[edit.offset] ^= 1
    (single / edit.file).write_bytes(raw)
    with pytest.raises(ProofError, match="SHA-256"):
        undo_export(tmp_path / "out", tmp_path / "back", base=single)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "out"]


def test_an_export_of_an_export_can_be_undone_twice(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for base, out, layer in ((single, first, 0), (first, second, 1)):
        plan = plan_export(base, Knockout(layer), llama)
        write_export(plan, out, base=base.name, extra=CARD, keep_undo=True)
        assert verify_files(out, base).ok
    undo_export(second, tmp_path / "once")
    assert tree(tmp_path / "once") == tree(first)
    undo_export(tmp_path / "once", tmp_path / "twice")
    assert tree(tmp_path / "twice") == tree(single)


def test_the_undo_file_of_a_base_is_not_mistaken_for_the_exports_own(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_export(plan_export(single, Knockout(0), llama), first, base="base", keep_undo=True)
    report = write_export(plan_export(first, Knockout(1), llama), second, base="owner/first")
    assert not report.warnings
    with pytest.raises(UsageError, match="owner/first"):
        undo_export(second, tmp_path / "back")
    undo_export(second, tmp_path / "once", base=first)
    undo_export(tmp_path / "once", tmp_path / "twice")
    assert tree(tmp_path / "twice") == tree(single)


def test_another_base_is_told_from_a_damaged_export(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    write_export(plan_export(single, Knockout(1), llama), tmp_path / "out", base="base")
    (single / "config.json").write_text("{}")
    report = verify_files(tmp_path / "out", single)
    assert not report.ok
    assert report.other_base == ("config.json",)


def test_files_we_add_never_replace_the_bases_own(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    plan = plan_export(single, Knockout(1), llama)
    for name in ("config.json", "talo_export.json", "../up", "/abs"):
        with pytest.raises(TaloError):
            write_export(plan, tmp_path / "out", base="base", extra={name: b"x"})
