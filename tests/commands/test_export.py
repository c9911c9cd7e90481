"""What a person asks to be cut and is told, from the dry run to the base's own bytes again."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from tiny_bases import save, tiny_llama

from talo_export.checkpoint.adapter_files import WEIGHTS
from talo_export.checkpoint.manifest import read_manifest
from talo_export.commands import diff, export, push, undo, verify
from talo_export.errors import UsageError
from talo_export.publish.publication import open_publication, stage
from talo_export.requests.checkpoints import (
    DiffRequest,
    ExportRequest,
    UndoRequest,
    VerifyRequest,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny_llama(), tmp_path_factory.mktemp("base") / "base")


def shown(module: object, result: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    module.show(result, console)  # type: ignore[attr-defined]
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


CUTS = {
    "layers": ({"layer": (2, 0)}, "layers 0 and 2, scope attention"),
    "feed-forward": ({"layer": 1, "scope": "mlp"}, "layer 1, scope mlp"),
    "heads": ({"heads": {1: (0, 2)}}, "heads 0 and 2 of layer 1, scope attention"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_is_planned_written_proved_published_and_undone(
    base: Path, tmp_path: Path, cut: str
) -> None:
    asked, named = CUTS[cut]
    plan = export.run(ExportRequest(base, dry_run=True, **asked))  # type: ignore[arg-type]
    assert f"would fill {named}" in shown(export, plan)
    out, adapter = tmp_path / "out", tmp_path / "adapter"
    written = export.run(ExportRequest(base, out=out, **asked))  # type: ignore[arg-type]
    assert written.to_json()["edits"] == plan.to_json()["edits"]
    export.run(ExportRequest(base, out=adapter, form="adapter", **asked))  # type: ignore[arg-type]
    for directory in (out, adapter):
        report = verify.run(VerifyRequest(directory))
        assert report.problems == ()
    differing = diff.run(DiffRequest(base, out)).differences
    assert {each.tensor for each in differing} == {edit.tensor for edit in written.edits}
    (tmp_path / "parcel").mkdir()
    publication = open_publication(out, allow_unconfirmed=True)
    parcel = stage(publication, "me/patched", tmp_path / "parcel")
    assert parcel.title.lower().startswith(named.partition(",")[0])
    push.adapter_of_checkpoint(out, read_manifest(out), tmp_path / "made")
    assert (tmp_path / "made" / WEIGHTS).read_bytes() == (adapter / WEIGHTS).read_bytes()
    undo.run(UndoRequest(out, out=tmp_path / "back"))
    name = "model.safetensors"
    assert (tmp_path / "back" / name).read_bytes() == (base / name).read_bytes()


def edits(base: Path, **asked: object) -> Sequence[dict[str, object]]:
    result = export.run(ExportRequest(base, dry_run=True, **asked))  # type: ignore[arg-type]
    return json.loads(json.dumps(result.to_json()))["edits"]


def test_one_layer_is_told_as_ever_and_heads_say_which_bytes_of_a_row(base: Path) -> None:
    document = export.run(ExportRequest(base, layer=1, dry_run=True)).to_json()
    assert not {"also", "heads"} & document.keys()
    for edit in document["edits"]:
        assert edit.keys() == {"file", "tensor", "dtype", "shape", "offset", "bytes"}
    result = export.run(ExportRequest(base, heads={1: (0, 2)}, dry_run=True))
    document = result.to_json()
    assert (document["layer"], document["heads"]) == (1, [[0, 2]])
    (edit,) = document["edits"]
    assert (edit["every"], edit["parts"]) == (128, [[0, 32], [64, 32]])
    assert (edit["bytes"], document["bytes_total"]) == (32 * 128, 32 * 64)
    assert "2,048 (64 of every 128)" in shown(export, result)


def test_what_is_not_there_is_named(base: Path) -> None:
    with pytest.raises(UsageError, match="head 4 of layer 1 is out of range"):
        edits(base, heads={1: [4]})
    with pytest.raises(UsageError, match="layer 9 is out of range"):
        edits(base, heads={9: [0]})
