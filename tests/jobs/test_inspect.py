"""What `inspect` says of a checkpoint, and that `export` keeps to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from proving import make_subject

from talo_export.errors import UsageError
from talo_export.jobs.export import run_export
from talo_export.jobs.inspect import run_inspect
from talo_export.requests.checkpoints import ExportRequest, InspectRequest


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    """Four layers; the last two use the keys and values of the first two."""
    make_subject("causal-lm", "gemma3n_text", tmp_path / "gemma")
    return tmp_path / "gemma"


def test_every_layer_has_its_mixers_tensors_and_what_export_would_say(gemma: Path) -> None:
    document = run_inspect(InspectRequest(str(gemma))).to_json()
    assert (document["architecture"], document["storage"]) == ("Gemma3nForCausalLM", "plain")
    lender, borrower = document["layers"][0], document["layers"][3]
    (mixer,) = lender["mixers"]
    assert mixer["kind"] == "self-attention"
    assert {tensor["name"].split(".")[-2]: tensor["role"] for tensor in mixer["tensors"]} == {
        "o_proj": "output", "q_proj": "input", "k_proj": "shared", "v_proj": "shared",
    }  # fmt: skip
    assert all(tensor["bytes"] and tensor["dtype"] == "F32" for tensor in mixer["tensors"])
    assert "use --scope o_proj" in lender["knockout"]["attention"]
    assert lender["knockout"]["o_proj"] is None
    assert borrower["knockout"] == {"attention": None, "o_proj": None}
    with pytest.raises(UsageError) as refusal:
        run_export(ExportRequest(model=str(gemma), layer=0, dry_run=True))
    assert str(refusal.value) == lender["knockout"]["attention"]


def test_a_format_that_cannot_be_cut_is_said_for_every_layer(gemma: Path) -> None:
    config = json.loads((gemma / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "aqlm"}
    (gemma / "config.json").write_text(json.dumps(config))
    document = run_inspect(InspectRequest(str(gemma))).to_json()
    assert "aqlm" in document["storage"]
    assert all("aqlm" in layer["knockout"]["o_proj"] for layer in document["layers"])


def test_a_dry_run_is_the_whole_plan_and_writes_nothing(gemma: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    request = ExportRequest(model=str(gemma), layer=3, out=tmp_path / "out", dry_run=True)
    document = run_export(request).to_json()
    assert document["out"] is None
    assert {file["file"]: file["edits"] for file in document["files"]} == {
        "config.json": 0, "generation_config.json": 0, "model.safetensors": len(document["edits"]),
    }  # fmt: skip
    assert document["disk_needed"] == sum(path.stat().st_size for path in gemma.iterdir())
    assert document["disk_free"] > document["disk_needed"]
    assert sorted(tmp_path.rglob("*")) == before
    kept = run_export(replace(request, keep_undo=True)).to_json()
    assert kept["disk_needed"] == document["disk_needed"] + document["bytes_total"]
    written = run_export(replace(request, keep_undo=True, dry_run=False)).to_json()
    assert written["edits"] == document["edits"]
    stored = {file["stored_as"] for file in kept["files"]}
    assert stored | set(kept["added"]) == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_dry_run_refuses_what_writing_would_refuse(gemma: Path) -> None:
    request = ExportRequest(model=str(gemma), layer=3, out=gemma / "inside", dry_run=True)
    with pytest.raises(UsageError, match="inside each other"):
        run_export(request)


def test_links_into_the_hub_cache_are_asked_for_by_their_own_name(
    gemma: Path, tmp_path: Path
) -> None:
    entry = tmp_path / "models--a--b"
    snapshot = entry / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (entry / "blobs").mkdir()
    for path in gemma.iterdir():
        blob = path.rename(entry / "blobs" / path.name)
        (snapshot / path.name).symlink_to(blob)
    other = entry / "blobs" / "stale"
    other.write_bytes((entry / "blobs" / "model.safetensors").read_bytes())
    (snapshot / "stale.safetensors").symlink_to(other)
    request = {"model": str(snapshot), "layer": 3, "dry_run": True}
    with pytest.raises(UsageError, match="--link-cache"):
        run_export(ExportRequest(link=True, **request))  # type: ignore[arg-type]
    document = run_export(ExportRequest(link=True, link_cache=True, **request)).to_json()  # type: ignore[arg-type]
    assert document["linked"] == ["stale.safetensors"]
    assert any("stale.safetensors" in warning for warning in document["warnings"])
