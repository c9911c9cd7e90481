"""The adapter computes what the checkpoint computes, through stock PEFT alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from proving import make_subject
from safetensors.torch import save_file
from tiny_bases import tiny_gpt2, tiny_llama, tiny_llava, tiny_phi3
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel

from talo_export.checkpoint.adapter import plan_adapter, write_adapter
from talo_export.checkpoint.adapter_files import WEIGHTS
from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.manifest import read_manifest
from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.undo import undo_export
from talo_export.commands import verify
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.finding import find_decoder
from talo_export.models.switching import knocked_out
from talo_export.requests.checkpoints import VerifyRequest

IDS = torch.tensor([[3, 9, 27, 17, 51, 25]])
MODELS = {"llama": tiny_llama, "gpt2": tiny_gpt2, "phi3": tiny_phi3, "llava": tiny_llava}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    for name, build in MODELS.items():
        torch.manual_seed(0)
        model = build()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter) / 10)  # Biases that show.
        model.save_pretrained(root / name)
    return {name: root / name for name in MODELS}


def load(directory: Path) -> PreTrainedModel:
    auto = AutoModelForImageTextToText if directory.name == "llava" else AutoModelForCausalLM
    return auto.from_pretrained(directory).eval()


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def logits_knocked_out(directory: Path, knockout: Knockout) -> torch.Tensor:
    model = load(directory)
    with knocked_out(model, find_decoder(model), knockout):
        return logits(model)


@pytest.mark.parametrize(
    ("name", "scope"), [*((name, "attention") for name in MODELS), ("gpt2", "layer")]
)
def test_plain_peft_gives_the_logits_of_the_knockout(
    bases: dict[str, Path], tmp_path: Path, name: str, scope: str
) -> None:
    knockout = Knockout(1, scope)  # type: ignore[arg-type]
    plan = plan_adapter(bases[name], knockout)
    write_adapter(plan, tmp_path / "out", base=str(bases[name]))
    model = load(bases[name])
    before = logits(model)
    adapted = PeftModel.from_pretrained(model, tmp_path / "out")
    assert torch.equal(logits(adapted), logits_knocked_out(bases[name], knockout))
    assert not torch.equal(logits(adapted), before)


def test_several_adapters_are_swapped_on_one_base(bases: dict[str, Path], tmp_path: Path) -> None:
    base = bases["llama"]
    for layer in range(3):
        plan = plan_adapter(base, Knockout(layer))
        write_adapter(plan, tmp_path / str(layer), base=str(base))
    model = load(base)
    before = logits(model)
    adapted = PeftModel.from_pretrained(model, tmp_path / "0", adapter_name="layer0")
    for layer in (1, 2):
        adapted.load_adapter(tmp_path / str(layer), adapter_name=f"layer{layer}")
    for layer in (2, 0, 1, 2):
        adapted.set_adapter(f"layer{layer}")
        assert torch.equal(logits(adapted), logits_knocked_out(base, Knockout(layer)))
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted), before)


@pytest.mark.parametrize("name", MODELS)
def test_the_models_own_load_adapter_gives_the_logits_of_the_knockout(
    bases: dict[str, Path], tmp_path: Path, name: str
) -> None:
    write_adapter(plan_adapter(bases[name], Knockout(1)), tmp_path / "out", base=str(bases[name]))
    model = load(bases[name])
    model.load_adapter(str(tmp_path / "out"))
    assert torch.equal(logits(model), logits_knocked_out(bases[name], Knockout(1)))


def test_a_layer_whose_keys_others_read_too_is_switched_off_and_verified(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    make_subject("causal-lm", "gemma3n_text", base)
    write_adapter(plan_adapter(base, Knockout(1)), out, base=str(base))
    with pytest.raises(UsageError, match="--scope o_proj"):
        plan_export(base, Knockout(1), checkpoint_anatomy(base))
    report = verify.run(VerifyRequest(out)).to_json()
    assert report["ok"], report["problems"]


def test_verify_runs_an_adapter_on_its_base_and_notices_a_changed_vector(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    out, base = tmp_path / "out", str(bases["gpt2"])
    write_adapter(plan_adapter(bases["gpt2"], Knockout(1)), out, base=base)
    report = verify.run(VerifyRequest(out)).to_json()
    assert report["ok"], report["problems"]
    assert report["logits"]["max_abs_difference_to_knockout"] == 0.0
    assert report["logits"]["max_abs_difference_to_base"] > 0.0
    (vector,) = report["tensors"]["filled"]

    save_file({vector: torch.ones(32, 1, dtype=torch.bfloat16)}, out / WEIGHTS)
    assert verify.run(VerifyRequest(out)).tensors.other == (vector,)
    (out / "stranger.bin").write_bytes(b"")
    (out / WEIGHTS).unlink()
    files = verify.run(VerifyRequest(out)).to_json()["files"]
    assert (files["missing"], files["extra"]) == ([WEIGHTS], ["stranger.bin"])


def test_undo_says_that_an_adapter_changed_nothing(bases: dict[str, Path], tmp_path: Path) -> None:
    base = bases["llama"]
    write_adapter(plan_adapter(base, Knockout(1)), tmp_path / "out", base=str(base))
    with pytest.raises(UsageError, match="changed nothing"):
        undo_export(tmp_path / "out", tmp_path / "back", base=base)
    assert not (tmp_path / "back").exists()


def test_it_weighs_a_few_kilobytes_and_names_its_base(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    plan = plan_adapter(bases["llava"], Knockout(2))
    write_adapter(plan, tmp_path / "out", base="owner/name", revision="abc",
                  extra={"README.md": b"# card"})  # fmt: skip
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert sum(sizes.values()) < 10_000
    assert set(sizes) == {
        "adapter_config.json", "adapter_model.safetensors", "README.md", "talo_export.json",
    }  # fmt: skip
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.base, manifest.revision, manifest.knockout) == (
        "owner/name", "abc", Knockout(2),
    )  # fmt: skip
    assert all("vision" not in path for path in plan.modules)


@pytest.mark.parametrize("fill", ["uniform", "mean"])
def test_other_fills_need_a_checkpoint(bases: dict[str, Path], fill: str) -> None:
    with pytest.raises(UsageError, match="checkpoint"):
        plan_adapter(bases["llama"], Knockout(1, fill=fill))  # type: ignore[arg-type]


def test_an_output_that_exists_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(TaloError):
        write_adapter(plan_adapter(bases["llama"], Knockout(1)), tmp_path, base="b")


def test_a_layer_that_does_not_exist_is_refused(bases: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="layer 3"):
        plan_adapter(bases["llama"], Knockout(3))
