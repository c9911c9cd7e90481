"""Which files are the checkpoint, and which paths are refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from raw_files import raw_file, tensor

from talo_export.checkpoint.files import safe_name
from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder


def shard(path: Path, *names: str) -> Path:
    entries = {name: tensor(4 * i, 4 * i + 4) for i, name in enumerate(names)}
    return raw_file(path, entries, b"abcd" * len(names))


def index(path: Path, weight_map: object) -> Path:
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


def hub_cache(base: Path, root: Path) -> Path:
    """`base` as a Hub cache holds it: a snapshot of links into `blobs`."""
    entry = root / "models--owner--name"
    snapshot = entry / "snapshots" / "0123abcd"
    (entry / "blobs").mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in base.rglob("*") if p.is_file())):
        blob = entry / "blobs" / f"{number:064x}"
        shutil.copy(path, blob)
        link = snapshot / path.relative_to(base)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def test_one_file_is_found(tmp_path: Path) -> None:
    shard(tmp_path / "model.safetensors", "a", "b")
    layout = read_layout(tmp_path)
    assert list(layout.tensors) == ["a", "b"]
    assert not layout.warnings


def test_the_index_says_which_shards_count_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    shard(tmp_path / "model-1.safetensors", "a")
    shard(tmp_path / "model-2.safetensors", "b")
    shard(tmp_path / "model-9-stale.safetensors", "a")
    shard(tmp_path / "consolidated.safetensors", "a")
    index(
        tmp_path / "model.safetensors.index.json",
        {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    )
    layout = read_layout(tmp_path)
    assert {name: located.file for name, located in layout.tensors.items()} == {
        "a": "model-1.safetensors",
        "b": "model-2.safetensors",
    }
    assert len(layout.warnings) == 2


@pytest.mark.parametrize(
    ("weight_map", "why"),
    [
        ({"a": "gone.safetensors"}, "gone"),
        ({"a": "other.safetensors"}, "same tensors"),
        ({"a": "other.safetensors", "b": "model.safetensors"}, "twice"),
    ],
)
def test_a_single_file_and_an_index_of_other_tensors_are_not_guessed_among(
    tmp_path: Path, weight_map: dict[str, str], why: str
) -> None:
    shard(tmp_path / "model.safetensors", "a", "b")
    shard(tmp_path / "other.safetensors", "a")
    index(tmp_path / "model.safetensors.index.json", weight_map)
    with pytest.raises(TaloError, match=f"remove the one that is not meant.*{why}"):
        read_layout(tmp_path)


def test_an_index_of_the_single_file_is_no_second_copy(tmp_path: Path) -> None:
    shard(tmp_path / "model.safetensors", "a", "b")
    index(tmp_path / "model.safetensors.index.json", dict.fromkeys("ab", "model.safetensors"))
    layout = read_layout(tmp_path)
    assert list(layout.shards) == ["model.safetensors"]
    assert layout.twin is None
    assert not layout.warnings


@pytest.mark.parametrize(
    "name", ["odd.safetensors.index.json", "model.safetensors.index.fp16.json"]
)
def test_an_odd_index_name_is_found(tmp_path: Path, name: str) -> None:
    shard(tmp_path / "parts" / "one.safetensors", "a")
    index(tmp_path / name, {"a": "parts/one.safetensors"})
    layout = read_layout(tmp_path)
    assert layout.index == name
    assert layout.tensors["a"].file == "parts/one.safetensors"


def test_the_config_may_name_the_weights(tmp_path: Path) -> None:
    shard(tmp_path / "model.safetensors", "a")
    shard(tmp_path / "weights" / "mine.safetensors", "b")
    (tmp_path / "config.json").write_text('{"transformers_weights": "weights/mine.safetensors"}')
    assert list(read_layout(tmp_path).tensors) == ["b"]


def test_several_candidates_are_not_guessed_among(tmp_path: Path) -> None:
    shard(tmp_path / "one.safetensors", "a")
    shard(tmp_path / "two.safetensors", "a")
    with pytest.raises(TaloError, match=r"one\.safetensors"):
        read_layout(tmp_path)


def test_pickled_weights_are_refused_with_the_command_that_converts(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(TaloError, match="save_pretrained"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/x.safetensors", "a/../../x.safetensors", "a\\x.safetensors",
     "./x.safetensors", "a//x.safetensors", "C:/x.safetensors", "", "x\n.safetensors", "x.bin",
     7, None, ["x.safetensors"], "\ud800.safetensors"],
)  # fmt: skip
def test_an_index_that_points_elsewhere_is_refused(tmp_path: Path, name: object) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    shard(tmp_path / "x.safetensors", "a")
    index(inside / "model.safetensors.index.json", {"a": name})
    with pytest.raises(TaloError):
        read_layout(inside)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"weight_map": {}}', '{"weight_map": 3}', "{", ""]
)
def test_an_index_without_a_map_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(TaloError):
        read_layout(tmp_path)


def test_an_index_that_names_another_models_shard_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "model-1.safetensors", "other")
    index(tmp_path / "model.safetensors.index.json", {"a": "model-1.safetensors"})
    with pytest.raises(TaloError, match="not of one model"):
        read_layout(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index(tmp_path / "model.safetensors.index.json", {"a": "model-1.safetensors"})
    with pytest.raises(TaloError, match=r"model-1\.safetensors"):
        read_layout(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "1.safetensors", "a", "b")
    shard(tmp_path / "2.safetensors", "b")
    index(tmp_path / "model.safetensors.index.json", {"a": "1.safetensors", "b": "2.safetensors"})
    with pytest.raises(TaloError, match="twice"):
        read_layout(tmp_path)


@pytest.mark.parametrize("target", ["file", "folder", "nowhere", "itself"])
def test_a_link_out_of_the_directory_is_refused(tmp_path: Path, target: str) -> None:
    base = tmp_path / "base"
    shard(base / "model.safetensors", "a")
    (tmp_path / "file").write_text("secret")
    (tmp_path / "folder").mkdir()
    (base / "link").symlink_to("link" if target == "itself" else tmp_path / target)
    with pytest.raises(TaloError, match="link"):
        read_layout(base)


def test_a_pipe_is_refused_and_never_opened(tmp_path: Path) -> None:
    shard(tmp_path / "model.safetensors", "a")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TaloError, match="plain file"):
        read_layout(tmp_path)


def test_a_file_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "model.safetensors", "a")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    with pytest.raises(TaloError, match="UTF-8"):
        read_layout(tmp_path)


def test_a_base_whose_path_is_not_text_is_read_but_not_exported(
    single: Path, llama: Decoder, tmp_path: Path
) -> None:
    odd = single.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    assert read_layout(odd).tensors
    with pytest.raises(TaloError, match="rename it"):
        plan_export(odd, Knockout(1), llama)


def test_an_index_that_is_not_text_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "model-1.safetensors", "a")
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(b'{"weight_map": {"a\xff": "model-1.safetensors"}}')
    with pytest.raises(TaloError, match="not valid JSON"):
        read_layout(tmp_path)


@pytest.mark.parametrize("name", ["a", "a/b.txt", ".hidden", "a..b", "ü/ß"])
def test_ordinary_names_are_safe(name: str) -> None:
    assert safe_name(name, "x") == name


def test_a_hub_cache_snapshot_is_followed_and_never_touched(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    base, decoder = built["sharded"]
    snapshot = hub_cache(base, tmp_path / "hub")
    blobs = sorted((snapshot.parent.parent / "blobs").iterdir())
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in blobs]
    write_export(plan_export(snapshot, Knockout(1), decoder), tmp_path / "out", base="owner/name")
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in blobs] == before
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert verify_files(tmp_path / "out", base).ok


def test_links_into_a_hub_cache_are_hard_linked_only_when_asked_twice(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    base, decoder = built["sharded"]
    snapshot = hub_cache(base, tmp_path / "hub")
    plan = plan_export(snapshot, Knockout(1), decoder)
    with pytest.raises(TaloError, match="cache"):
        write_export(plan, tmp_path / "out", base="owner/name", link=True)
    report = write_export(plan, tmp_path / "out", base="owner/name", link=True, link_cache=True)
    assert any("cache" in warning for warning in report.warnings)


def test_another_repositorys_blobs_are_out_of_bounds(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    snapshot = hub_cache(built["single"][0], tmp_path / "hub")
    foreign = tmp_path / "hub" / "models--owner--other" / "blobs" / "0"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("secret")
    (snapshot / "notes.txt").symlink_to(foreign)
    with pytest.raises(TaloError, match="link out"):
        read_layout(snapshot)
