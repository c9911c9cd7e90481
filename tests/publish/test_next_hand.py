"""What a card tells whoever builds on an export, tried with the libraries that it speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from exports import export
from optimum.quanto import QLinear, qint4, qint8, qtype
from peft import LoraConfig, get_peft_model
from torchao.quantization import Float8WeightOnlyConfig
from transformers import AutoModelForCausalLM, QuantoConfig, TorchAoConfig
from typer.testing import CliRunner

from talo_export.cli.app import app
from talo_export.commands import export as export_command
from talo_export.commands import inspect
from talo_export.publish.next_hand import advice, modules_to_leave_out, rope_advice
from talo_export.requests.checkpoints import ExportRequest, InspectRequest

ATTENTION = [f"model.layers.1.self_attn.{name}_proj.weight" for name in "qkvo"]
LEFT_OUT = ".*layers.1.self_attn"
IDS = torch.arange(8)[None]


@pytest.fixture(scope="module")
def cut(language_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(language_model, tmp_path_factory.mktemp("cut") / "export")


def float8(library: str, left_out: list[str] | None) -> TorchAoConfig | QuantoConfig:
    if library == "quanto":
        return QuantoConfig(weights="float8", modules_to_not_convert=left_out)
    return TorchAoConfig(Float8WeightOnlyConfig(), modules_to_not_convert=left_out)


@pytest.mark.parametrize("library", ["torchao", "quanto"])
def test_float8_needs_the_modules_left_out_that_the_card_names(library: str, cut: Path) -> None:
    assert f'`modules_to_not_convert=["{LEFT_OUT}"]`' in (cut / "README.md").read_text()
    for left_out, broken in ((None, True), ([LEFT_OUT], False)):
        model = AutoModelForCausalLM.from_pretrained(
            cut, quantization_config=float8(library, left_out), dtype=torch.float32
        )
        assert bool(model(IDS).logits.isnan().any()) is broken


@pytest.mark.parametrize("library", ["torchao", "quanto"])
@pytest.mark.parametrize(("heads", "broken"), [((1,), False), ((0, 1, 2, 3), True)], ids=str)
def test_float8_keeps_a_cut_head_at_zero_and_breaks_where_all_are_cut_as_the_card_says(
    heads: tuple[int, ...], broken: bool, library: str, language_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_command.run(ExportRequest(model=str(language_model), heads={1: heads}, out=out))
    assert ("makes every logit NaN" in (out / "README.md").read_text()) is broken
    assert ("quanto's int4 brings back" in (out / "README.md").read_text()) is not broken
    model = AutoModelForCausalLM.from_pretrained(
        out, quantization_config=float8(library, None), dtype=torch.float32
    )
    assert bool(model(IDS).logits.isnan().any()) is broken
    read = torch.ones(1, model.config.hidden_size)
    read[:, : model.config.head_dim] = read[:, 2 * model.config.head_dim :] = 0
    assert broken or not model.model.layers[1].self_attn.o_proj(read).any()


@pytest.mark.parametrize(("bits", "exact"), [(qint4, False), (qint8, True)], ids=str)
def test_a_head_that_shares_a_group_does_not_stay_at_zero_in_quantos_int4(
    bits: qtype, exact: bool
) -> None:
    linear = torch.nn.Linear(256, 256, bias=False, dtype=torch.bfloat16)
    torch.nn.init.uniform_(linear.weight, -0.02, 0.1, torch.Generator().manual_seed(0))
    linear.weight.data[:, :32] = 0
    quantised = QLinear.from_module(linear, weights=bits)
    quantised.freeze()
    assert bool(quantised(torch.eye(256, dtype=torch.bfloat16)[:32]).any()) is not exact


@pytest.mark.parametrize(
    ("cut", "revives"),
    [
        ({"layer": 1}, False),
        ({"layer": 1, "scope": "o_proj"}, True),
        ({"heads": {1: (1,)}}, True),
    ],
    ids=str,
)
def test_a_gradient_reaches_what_is_cut_of_the_output_projection_alone(
    cut: dict[str, Any], revives: bool, language_model: Path, tmp_path: Path
) -> None:
    export_command.run(ExportRequest(model=str(language_model), **cut, out=tmp_path / "out"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    sites = [f"model.layers.1.self_attn.{name}_proj" for name in "qkvo"]
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=sites))
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.1)
    for _ in range(2):
        tuned(IDS, labels=IDS).loss.backward()
        optimizer.step()
    trained = [p.grad for name, p in tuned.named_parameters() if "lora_B" in name]
    assert any(bool(gradient.any()) for gradient in trained if gradient is not None) is revives
    card = (tmp_path / "out/README.md").read_text()
    assert ("switches the cut part on again" in card) is revives
    assert ("every gradient in it stays 0" in card) is not revives


def test_a_pattern_names_one_layers_modules_wherever_the_decoder_lies() -> None:
    assert modules_to_leave_out(ATTENTION) == (LEFT_OUT,)
    assert modules_to_leave_out([ATTENTION[3]]) == (f"{LEFT_OUT}.o_proj",)
    conv1d = ["transformer.h.7.attn.c_attn.bias", "transformer.h.7.attn.c_proj.weight"]
    nested = [f"language_model.{name}" for name in ATTENTION]
    assert modules_to_leave_out([*nested, *conv1d]) == (LEFT_OUT, ".*h.7.attn")


def test_inspect_says_it_of_any_checkpoint_that_holds_such_an_attention(
    language_model: Path, cut: Path
) -> None:
    assert inspect.run(InspectRequest(str(language_model))).advice == ()
    assert inspect.run(InspectRequest(str(cut))).advice == advice(ATTENTION, revives=False)
    assert f'["{LEFT_OUT}"]' in "".join(
        CliRunner().invoke(app, ["inspect", str(cut)]).stdout.split("\n")
    )


def test_a_base_frequency_that_older_readers_miss_is_named() -> None:
    new = {"rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}}
    assert "100000" in rope_advice(new)[0]
    assert rope_advice({"text_config": new}) == rope_advice(new)
    assert rope_advice({**new, "rope_theta": 100000.0}) == ()
    assert rope_advice({"rope_parameters": {"rope_theta": 10000.0}}) == ()
    assert rope_advice({}) == ()


@pytest.mark.parametrize(
    "config",
    [{"text_config": "x"}, {"rope_parameters": [1]}, {"rope_parameters": {"rope_theta": "1e5"}}],
    ids=str,
)
def test_a_config_of_a_wrong_shape_gives_no_advice(config: dict[str, object]) -> None:
    assert rope_advice(config) == ()
