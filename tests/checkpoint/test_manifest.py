"""A manifest is read back strictly: it decides what undo writes where."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talo_export.checkpoint.manifest import MANIFEST, FileRecord, Manifest, read_manifest
from talo_export.checkpoint.plan import Edit
from talo_export.errors import TaloError
from talo_export.knockout import Knockout

SOUND = Manifest(
    base="owner/name",
    revision="abc",
    knockout=Knockout(3, "o_proj", "mean"),
    storage="plain",
    edits=(
        Edit("a.safetensors", "w", "BF16", (2, 3), 100, 12, b"\x01\x02"),
        Edit("a.safetensors", "v", "BF16", (2, 3), 112, 12, b"\x01\x02\x03\x04", (4, 8)),
    ),
    files={
        "a.safetensors": FileRecord(112, "0" * 64, "a.safetensors", "1" * 64),
        "README.md": FileRecord(7, None, "BASE_README.md"),
    },
    added=("README.md", "talo_export.json"),
    task={"name": "maps"},
    versions={"python": "3.11"},
)


def document() -> dict[str, Any]:
    return json.loads(SOUND.to_bytes())


def test_it_reads_back_as_written(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(SOUND.to_bytes())
    assert read_manifest(tmp_path) == SOUND


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), 2),
        (("base",), None),
        (("knockout", "scope"), "everything"),
        (("knockout", "layer"), -1),
        (("knockout", "layer"), True),
        (("edits", 0, "file"), "../a.safetensors"),
        (("edits", 0, "offset"), -5),
        (("edits", 0, "pattern"), ""),
        (("edits", 0, "pattern"), "zz"),
        (("edits", 0, "bytes"), 13),
        (("files", "README.md", "stored_as"), "/etc/passwd"),
        (("files", "README.md", "bytes"), "7"),
        (("files",), []),
        (("added",), ["../../x"]),
        (("edits",), {}),
    ],
)
def test_a_lie_is_refused(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    changed = document()
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / MANIFEST).write_text(json.dumps(changed))
    with pytest.raises(TaloError):
        read_manifest(tmp_path)


def test_a_file_that_would_be_written_outside_is_refused(tmp_path: Path) -> None:
    changed = document()
    changed["files"]["../outside"] = changed["files"].pop("README.md")
    (tmp_path / MANIFEST).write_text(json.dumps(changed))
    with pytest.raises(TaloError, match="outside"):
        read_manifest(tmp_path)


def test_a_directory_without_one_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(TaloError, match="not written by talo-export"):
        read_manifest(tmp_path)
    with pytest.raises(TaloError, match="nowhere does not exist"):
        read_manifest(tmp_path / "nowhere")


def test_of_a_run_its_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / MANIFEST).write_text("{}")
    with pytest.raises(TaloError, match=r"Did you mean .*checkpoint\?"):
        read_manifest(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.data())
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
def test_any_other_document_is_sound_or_refused_in_one_sentence(
    tmp_path: Path, data: st.DataObject
) -> None:
    changed = copy.deepcopy(document())
    place: Any = changed
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    (tmp_path / MANIFEST).write_text(json.dumps(changed))
    try:
        manifest = read_manifest(tmp_path)
    except TaloError as refusal:
        sentence = str(refusal)
        assert str(tmp_path) in sentence
    else:
        assert all(".." not in name for name in manifest.files)
