"""Models whose decoder is read as 4-bit NF4, with bitsandbytes itself (collected where it is)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_models
import torch
from asking import LIKELIHOOD, QUICK, run
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from small_models import learnable_task, picture_task, write_llama, write_llava
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig
from typer.testing import CliRunner

from talo_export.baselines.adapters import ADAPTERS, attach
from talo_export.baselines.examples import answer_loss, make_example
from talo_export.cli.app import app
from talo_export.errors import TaloError
from talo_export.knockout import Knockout, knockout_of
from talo_export.models.finding import find_decoder
from talo_export.models.loading import load_model
from talo_export.models.switching import knocked_out


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models go whose matrices have whole blocks of 64 numbers, as bitsandbytes wants."""

    def wide(layers: int = 2, positions: int = 1024, width: int = 64) -> LlamaConfig:
        narrow = plain(layers, positions, width)
        narrow.hidden_size, narrow.intermediate_size, narrow.head_dim = 64, 128, 16
        narrow.num_key_value_heads = 4
        return narrow

    plain = small_models.small_config
    monkeypatch.setattr(small_models, "small_config", wide)
    return tmp_path


def test_the_decoders_matrices_are_quantised_and_nothing_else(directory: Path) -> None:
    write_llava(directory / "llava")
    model = load_model(str(directory / "llava"), device="cpu", load_in_4bit=True).model
    linear = {p: m for p, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    quantised = {path for path, module in linear.items() if isinstance(module, Linear4bit)}
    assert quantised == {p for p in linear if p.startswith("model.language_model.layers.")}
    assert len(quantised) == 14


@pytest.mark.parametrize("method", ["base", "knockout", "knockout+lora", *ADAPTERS])
def test_a_method_runs_on_a_quantised_vision_language_model(method: str, directory: Path) -> None:
    write_llava(directory / "llava")
    loaded = load_model(str(directory / "llava"), device="cpu", load_in_4bit=True)
    before = {name for name, _ in loaded.model.named_modules()}
    result = run(picture_task(12), method, loaded, directory / "cell", shots=4, training=QUICK)
    assert result.status == "done", result.reason
    assert result.accuracy is not None
    assert {name for name, _ in loaded.model.named_modules()} == before


def test_gradients_pass_through_quantised_layers_also_after_an_answer(directory: Path) -> None:
    write_llama(directory / "llama")
    loaded = load_model(str(directory / "llama"), device="cpu", load_in_4bit=True)
    adapted = attach(loaded, "lora", QUICK, seed=0)
    example = make_example(loaded, learnable_task(3).items[0], LIKELIHOOD)
    lowest = next(p for name, p in adapted.named_parameters() if "layers.0" in name and "B" in name)

    def gradient() -> torch.Tensor:
        adapted.zero_grad()
        answer_loss(adapted, example).backward()
        assert lowest.grad is not None
        return lowest.grad.clone()

    before = gradient()
    assert before.abs().max() > 0
    with torch.inference_mode():
        adapted.eval()(**example.inputs)
    assert torch.equal(gradient(), before)


def test_the_command_compares_in_four_bits_and_its_adapter_loads_on_such_a_base(
    directory: Path,
) -> None:
    write_llama(directory / "llama")
    task = directory / "colours.jsonl"
    rows = [
        {"id": i.id, "prompt": i.prompt, "choices": i.choices, "answer": i.answer}
        for i in learnable_task(18).items
    ]
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = [
        "compare", "--model", str(directory / "llama"), "--task", str(task), "--load-in-4bit",
        "--out", str(directory / "out"), "--methods", "knockout,lora", "--shots", "6",
        "--seeds", "1", "--epochs", "2", "--scoring", "likelihood", "--device", "cpu", "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [row["statuses"] for row in document["methods"]] == [{"done": 1}] * 3
    assert document["load_in_4bit"] is True

    (adapter,) = (directory / "out" / "cells").glob("lora-*.artifact")
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(
        directory / "llama", quantization_config=BitsAndBytesConfig(load_in_4bit=True)
    )
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        plain = base(input_ids=ids).logits.clone()
        tuned = PeftModel.from_pretrained(base, adapter)(input_ids=ids).logits
    assert not torch.equal(plain, tuned)


def test_a_checkpoint_that_is_quantised_already_is_refused(directory: Path) -> None:
    write_llama(directory / "llama")
    config = json.loads((directory / "llama" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (directory / "llama" / "config.json").write_text(json.dumps(config))
    with pytest.raises(TaloError, match=r"quantised already \(gptq\)"):
        load_model(str(directory / "llama"), device="cpu", load_in_4bit=True)


@pytest.mark.parametrize("storage", ["uint8", "bfloat16"])
@pytest.mark.parametrize("knockout", [Knockout(1), knockout_of(heads={1: (2,)})], ids=str)
def test_four_bit_codes_are_knocked_out_whatever_dtype_they_are_kept_in(
    knockout: Knockout, storage: str, directory: Path
) -> None:
    write_llama(directory / "llama")
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_storage=storage)
    model = AutoModelForCausalLM.from_pretrained(
        directory / "llama", quantization_config=how, device_map="cpu"
    )
    with knocked_out(model, find_decoder(model), knockout):
        pass
    uniform = knocked_out(model, find_decoder(model), Knockout(1, fill="uniform"))
    with pytest.raises(TaloError, match="quantised"), uniform:
        pass
