"""References: what a path is, what a Hub id is, and what is said where there is nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from talo_export.errors import TaloError, UsageError
from talo_export.models.reference import parse_reference, resolve

WORD = st.from_regex(r"[a-z][a-z0-9]{0,12}", fullmatch=True)


@given(owner=WORD, name=WORD, revision=WORD)
def test_a_hub_id_keeps_its_revision(owner: str, name: str, revision: str) -> None:
    reference = parse_reference(f"no-{owner}/{name}@{revision}")
    assert (reference.repo_id, reference.revision) == (f"no-{owner}/{name}", revision)
    assert reference.name == f"no-{owner}/{name}"


def test_what_exists_on_disk_is_a_path_even_with_an_at(tmp_path: Path) -> None:
    folder = tmp_path / "odd@name"
    folder.mkdir()
    assert parse_reference(str(folder)).path == folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("owner/name@", "write a branch, tag or commit"),
        ("not a name!", "neither a directory"),
        ("owner/na me", "neither a directory"),
    ],
)
def test_what_can_be_neither_is_wrong_usage(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_reference(text)


@pytest.mark.parametrize("text", ["./nowhere", "/no/where", "a/b/c"])
def test_a_path_that_is_not_there_is_named(text: str) -> None:
    with pytest.raises(TaloError, match=f"{text} does not exist"):
        parse_reference(text)


def test_a_local_directory_has_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no revisions"):
        parse_reference(f"{tmp_path}@main")


def test_a_local_checkpoint_resolves_to_itself(text_checkpoint: Path) -> None:
    resolved = resolve(str(text_checkpoint))
    assert (resolved.directory, resolved.name, resolved.revision) == (
        text_checkpoint,
        str(text_checkpoint),
        None,
    )


def test_a_gguf_file_is_a_model_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    resolved = resolve(str(tmp_path / "small.gguf"))
    assert (resolved.directory, resolved.gguf_file) == (tmp_path, "small.gguf")


def test_a_gguf_file_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.gguf").touch()
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(TaloError, match=r"pip install 'talo-export\[gguf\]'"):
        resolve(str(tmp_path / "model.gguf"))


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(TaloError, match="is a file: give the directory"):
        resolve(str(tmp_path / "model.safetensors"))


def test_a_directory_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match="has no config"):
        resolve(str(tmp_path))


def test_pickled_weights_are_refused_with_the_command_that_converts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(TaloError, match=r"only as pickled .*save_pretrained\('converted'\)"):
        resolve(str(tmp_path))


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TaloError, match=r"has no \*.safetensors weights"):
        resolve(str(tmp_path))


def test_a_shard_that_the_index_names_must_be_there(text_checkpoint: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (text_checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(TaloError, match=r"names the shard model-00002-of-00002\.safetensors"):
        resolve(str(text_checkpoint))


def test_shards_in_a_folder_below_the_index_are_weights(text_checkpoint: Path) -> None:
    (text_checkpoint / "weights").mkdir()
    (text_checkpoint / "model.safetensors").rename(text_checkpoint / "weights" / "a.safetensors")
    index = {"weight_map": {"lm_head.weight": "weights/a.safetensors"}}
    (text_checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    assert resolve(str(text_checkpoint)).directory == text_checkpoint


@pytest.mark.parametrize("kind", ["absolute", "upwards"])
def test_an_index_may_not_name_a_file_elsewhere(text_checkpoint: Path, kind: str) -> None:
    outside = text_checkpoint.parent / "outside.safetensors"
    (text_checkpoint / "model.safetensors").rename(outside)
    shard = str(outside) if kind == "absolute" else f"../{outside.name}"
    index = {"weight_map": {"lm_head.weight": shard}}
    (text_checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(TaloError, match=r"outside\.safetensors', which is no path inside"):
        resolve(str(text_checkpoint))


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', "{}"])
def test_an_index_that_is_none_is_refused(text_checkpoint: Path, text: str) -> None:
    (text_checkpoint / "model.safetensors.index.json").write_text(text)
    with pytest.raises(TaloError, match="is no safetensors index"):
        resolve(str(text_checkpoint))


def test_a_hub_id_that_is_not_cached_says_why_it_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TaloError, match="not in the local Hub cache and HF_HUB_OFFLINE is set"):
        resolve("owner/model")


def test_a_cached_hub_id_resolves_offline_to_its_commit(
    text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "cache" / "models--owner--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in text_checkpoint.iterdir():
        (snapshot / file.name).symlink_to(file)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    resolved = resolve("owner/model")
    assert (resolved.directory, resolved.name, resolved.revision) == (
        snapshot,
        "owner/model",
        commit,
    )
