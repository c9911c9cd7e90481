"""What `inspect` says of a checkpoint, and that `export` keeps to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from proving import make_subject
from transformers import BertConfig, BertForMaskedLM, BertLMHeadModel, BertModel
from typer.testing import CliRunner

from talo_export.cli.app import app
from talo_export.commands import export, inspect
from talo_export.errors import TaloError, UsageError
from talo_export.requests.checkpoints import ExportRequest, InspectRequest


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    """Four layers; the last two use the keys and values of the first two."""
    make_subject("causal-lm", "gemma3n_text", tmp_path / "gemma")
    return tmp_path / "gemma"


def test_every_layer_has_its_mixers_tensors_and_what_export_would_say(gemma: Path) -> None:
    document = inspect.run(InspectRequest(str(gemma))).to_json()
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
        export.run(ExportRequest(model=str(gemma), layer=0, dry_run=True))
    assert str(refusal.value) == lender["knockout"]["attention"]


@pytest.mark.parametrize(("kind", "heads"), [("llama", 4), ("gpt2", 4), ("xlnet", None)])
def test_it_says_how_many_heads_can_be_cut_one_by_one(
    kind: str, heads: int | None, tmp_path: Path
) -> None:
    make_subject("causal-lm", kind, tmp_path / "base")
    base = str(tmp_path / "base")
    (mixer,) = inspect.run(InspectRequest(base)).layers[1].mixers
    assert mixer.heads == heads
    said = " ".join(CliRunner().invoke(app, ["inspect", base]).stdout.split())
    assert ("self-attention, 4 heads" in said) is (heads is not None)
    document = inspect.run(InspectRequest(base)).to_json()
    assert document["layers"][1]["mixers"][0].get("heads") == heads
    last = export.run(ExportRequest(base, heads={1: [3]}, dry_run=True)) if heads else None
    assert (last is None) is (heads is None)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_layer_that_is_cut_already_is_named(kind: str, tmp_path: Path) -> None:
    make_subject("causal-lm", kind, tmp_path / "base")
    base = str(tmp_path / "base")
    assert not any(layer.cut for layer in inspect.run(InspectRequest(base)).layers)
    for scope in ("attention", "o_proj"):
        out = tmp_path / scope
        export.run(ExportRequest(model=base, layer=1, scope=scope, out=out))
        cut = [layer.layer for layer in inspect.run(InspectRequest(str(out))).layers if layer.cut]
        assert cut == [1]
        said = CliRunner().invoke(app, ["inspect", str(out)]).stdout
        assert said.count("cut already") == 1
    export.run(ExportRequest(model=base, layer=1, fill="uniform", out=tmp_path / "uniform"))
    assert not any(
        layer.cut for layer in inspect.run(InspectRequest(str(tmp_path / "uniform"))).layers
    )


def test_an_encoder_is_not_listed_as_a_decoder(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2,
    )  # fmt: skip
    for model in (BertForMaskedLM(config), BertModel(config)):
        model.save_pretrained(tmp_path / "encoder")
        with pytest.raises(TaloError, match=r"'bert' \(Bert.*\) is an encoder"):
            inspect.run(InspectRequest(str(tmp_path / "encoder")))
    config.is_decoder = True
    BertLMHeadModel(config).save_pretrained(tmp_path / "decoder")
    assert len(inspect.run(InspectRequest(str(tmp_path / "decoder"))).layers) == 2


def test_an_encoder_with_code_of_its_own_is_not_either(gemma: Path) -> None:
    config = json.loads((gemma / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForMaskedLM": "own.OwnForMaskedLM"}}
    config["architectures"] = ["OwnForMaskedLM"]
    (gemma / "config.json").write_text(json.dumps(config))
    with pytest.raises(TaloError, match="is an encoder"):
        inspect.run(InspectRequest(str(gemma)))


def test_a_format_that_cannot_be_cut_is_said_for_every_layer(gemma: Path) -> None:
    config = json.loads((gemma / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "aqlm"}
    (gemma / "config.json").write_text(json.dumps(config))
    document = inspect.run(InspectRequest(str(gemma))).to_json()
    assert "aqlm" in document["storage"]
    assert all("aqlm" in layer["knockout"]["o_proj"] for layer in document["layers"])


def test_a_dry_run_is_the_whole_plan_and_writes_nothing(gemma: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    request = ExportRequest(model=str(gemma), layer=3, out=tmp_path / "out", dry_run=True)
    document = export.run(request).to_json()
    assert document["out"] is None
    assert {file["file"]: file["edits"] for file in document["files"]} == {
        "config.json": 0, "generation_config.json": 0, "model.safetensors": len(document["edits"]),
    }  # fmt: skip
    assert document["disk_needed"] == sum(path.stat().st_size for path in gemma.iterdir())
    assert document["disk_free"] > document["disk_needed"]
    assert sorted(tmp_path.rglob("*")) == before
    kept = export.run(replace(request, keep_undo=True)).to_json()
    assert kept["disk_needed"] == document["disk_needed"] + document["bytes_total"]
    written = export.run(replace(request, keep_undo=True, dry_run=False)).to_json()
    assert written["edits"] == document["edits"]
    stored = {file["stored_as"] for file in kept["files"]}
    assert stored | set(kept["added"]) == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_dry_run_refuses_what_writing_would_refuse(gemma: Path) -> None:
    request = ExportRequest(model=str(gemma), layer=3, out=gemma / "inside", dry_run=True)
    with pytest.raises(UsageError, match="inside each other"):
        export.run(request)


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
        export.run(ExportRequest(link=True, **request))  # type: ignore[arg-type]
    document = export.run(ExportRequest(link=True, link_cache=True, **request)).to_json()  # type: ignore[arg-type]
    assert document["linked"] == ["stale.safetensors"]
    assert any("stale.safetensors" in warning for warning in document["warnings"])
