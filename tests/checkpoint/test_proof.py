"""The export answers, in stock processes, as the live knockout does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from proving import make_subject
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.proof import (
    LoadReport,
    LogitProof,
    max_difference,
    prove_export,
    run_stock,
)
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import ProofError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out

IDS = torch.tensor([[3, 9, 27, 17, 51, 25]])


def test_a_stock_process_gives_exactly_the_logits_of_the_live_knockout(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path
) -> None:
    base, decoder = built["sharded"]
    write_export(plan_export(base, Knockout(1), decoder), tmp_path / "out", base="base")
    inputs = tmp_path / "inputs.safetensors"
    save_file({"a/input_ids": IDS, "b/input_ids": IDS.flip(1)}, inputs)
    proof = prove_export(tmp_path / "out", base, Knockout(1), inputs)
    assert proof.ok
    assert proof.max_abs_difference_to_knockout == 0.0
    assert proof.max_abs_difference_to_base > 0.0
    assert proof.load.clean
    assert proof.base_load.clean
    assert not dataclasses.replace(proof, max_abs_difference_to_knockout=0.1).ok
    assert not dataclasses.replace(proof, max_abs_difference_to_base=0.0).ok
    assert not dataclasses.replace(proof, load=LoadReport(("a.weight",))).ok


def test_an_export_is_asked_to_load_as_its_base_does_not_better(
    single: Path, tmp_path: Path
) -> None:
    tensors = load_file(single / "model.safetensors")
    lost = "model.layers.0.mlp.up_proj.weight"
    del tensors[lost]
    tensors["mtp.weight"] = torch.ones(2, 2)
    save_file(tensors, single / "model.safetensors", metadata={"format": "pt"})
    plan = plan_export(single, Knockout(1), checkpoint_anatomy(single))
    write_export(plan, tmp_path / "out", base="base")
    proof = prove_export(tmp_path / "out", single, Knockout(1))
    assert proof.load == LoadReport((lost,), ("mtp.weight",))
    assert proof.problems == ()
    assert proof.max_abs_difference_to_knockout == 0.0
    assert proof.load == proof.base_load
    complete = LoadReport((), ("mtp.weight",))
    assert "other keys" in dataclasses.replace(proof, base_load=complete).problems[0]


def proof_of(mapping: str, model_type: str, folder: Path) -> LogitProof:
    """A tiny model of this type is saved, cut and proved."""
    base = folder / "base"
    make_subject(mapping, model_type, base)
    plan = plan_export(base, Knockout(1), checkpoint_anatomy(base))
    write_export(plan, folder / "out", base="base")
    return prove_export(folder / "out", base, Knockout(1))


def test_a_model_that_does_not_run_on_text_alone_is_given_what_it_needs(tmp_path: Path) -> None:
    proof = proof_of("image-text-to-text", "udop", tmp_path)
    assert proof.ok
    assert proof.class_name == "UdopForConditionalGeneration"


def test_a_class_that_no_auto_class_makes_is_loaded_by_its_name(tmp_path: Path) -> None:
    proof = proof_of("causal-lm", "mllama", tmp_path)
    assert proof.ok
    assert proof.class_name == "MllamaForCausalLM"


@pytest.mark.parametrize(
    ("name", "scope", "fill"),
    [
        ("single", "attention", "uniform"),
        ("single", "layer", "mean"),
        ("bf16", "o_proj", "zero"),
        ("bf16", "attention", "mean"),
        ("fp16", "layer", "uniform"),
        ("gpt2", "attention", "zero"),
        ("gpt2", "attention", "uniform"),
        ("gpt2", "mlp", "mean"),
    ],
)
def test_files_and_memory_agree_for_every_scope_and_fill(
    built: dict[str, tuple[Path, Decoder]], tmp_path: Path, name: str, scope: str, fill: str
) -> None:
    base, decoder = built[name]
    knockout = Knockout(1, scope, fill)  # type: ignore[arg-type]
    write_export(plan_export(base, knockout, decoder), tmp_path / "out", base="base")
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").eval()
    live = AutoModelForCausalLM.from_pretrained(base, dtype="auto").eval()
    with torch.no_grad():
        found, untouched = exported(IDS).logits, live(IDS).logits
        with knocked_out(live, find_decoder(live), knockout):
            expected = live(IDS).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, untouched)


@pytest.mark.parametrize("fill", ["uniform", "mean"])
@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        ("sarvam_moe", "attention"),  # q, k and v of three sizes are stored as one.
        ("sarvam_moe", "mlp"),  # The experts are stored apart and joined.
        ("mixtral", "mlp"),
        ("jamba", "mlp"),
        ("qwen3_vl_moe", "mlp"),  # The stack of experts is stored transposed.
        ("ernie4_5_vl_moe", "mlp"),  # One list of experts is dealt out to text and to images.
    ],
)
def test_files_and_memory_agree_where_loading_splits_or_joins_tensors(
    tmp_path: Path, kind: str, scope: str, fill: str
) -> None:
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    base = tmp_path / "base"
    sees = "_vl_" in kind
    live = make_subject("image-text-to-text" if sees else "causal-lm", kind, base)
    auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    knockout = Knockout(1, scope, fill)  # type: ignore[arg-type]
    anatomy = checkpoint_anatomy(base)
    plan = plan_export(base, knockout, anatomy)
    assert {edit.tensor for edit in plan.edits} & {one.name for one in anatomy.layers[1].altered}
    write_export(plan, tmp_path / "out", base="base")
    assert verify_files(tmp_path / "out", base).ok
    exported = auto.from_pretrained(tmp_path / "out", dtype="auto").eval()
    with torch.no_grad():
        untouched, found = live(input_ids=IDS).logits, exported(input_ids=IDS).logits
        with knocked_out(live, find_decoder(live), knockout):
            expected = live(input_ids=IDS).logits
            silenced = {name: value.clone() for name, value in live.named_parameters()}
    for name, value in exported.named_parameters():
        assert torch.equal(value, silenced[name]), name
    assert torch.equal(found, expected)
    assert not torch.equal(found, untouched)


def test_a_stock_process_that_fails_is_an_error_with_its_last_words(
    single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "fails.py"
    script.write_text("import sys; sys.exit('no such architecture')")
    monkeypatch.setattr("talo_export.checkpoint.proof.STOCK_LOAD", script)
    with pytest.raises(ProofError, match="no such architecture"):
        run_stock(single)


@pytest.mark.parametrize(
    "other",
    [{}, {"b": np.zeros(3)}, {"a": np.zeros(2)}, {"a": np.array([0.0, np.nan, 0.0])}],
    ids=["nothing", "another example", "another shape", "not a number"],
)
def test_logits_that_cannot_be_compared_prove_nothing(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(ProofError):
        max_difference({"a": np.zeros(3)}, other)
