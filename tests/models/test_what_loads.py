"""The model that is probed is the model that is cut: what is neither one nor whole is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from small_models import learnable_task, write_llama
from transformers import AutoTokenizer, LlamaForCausalLM
from typer.testing import CliRunner

from talo_export.cli.app import app
from talo_export.errors import TaloError, UsageError
from talo_export.models.loading import load_model, load_processor_alone
from talo_export.models.reference import resolve
from talo_export.probing.encoding import encode
from talo_export.probing.settings import Scoring


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "base")


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """A LoRA adapter that moves the logits, in a directory of its own."""
    config = LoraConfig(target_modules=["o_proj"], init_lora_weights=False)
    adapted = get_peft_model(LlamaForCausalLM.from_pretrained(base), config)
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture
def mixture(base: Path, adapter: Path, tmp_path: Path) -> Path:
    """Full weights with the adapter beside them."""
    shutil.copytree(base, tmp_path / "mixture")
    for file in adapter.glob("adapter_*"):
        shutil.copy(file, tmp_path / "mixture")
    return tmp_path / "mixture"


def refused(*line: str) -> str:
    """What a command says that ends with a sentence."""
    done = CliRunner().invoke(app, [*line])
    assert done.exit_code in (1, 2), done.output
    assert "Traceback" not in done.output
    return " ".join(done.stderr.split())


def task_file(directory: Path) -> Path:
    rows = [
        {"id": i.id, "prompt": i.prompt, "choices": i.choices, "answer": i.answer}
        for i in learnable_task(12).items
    ]
    path = directory / "task.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_adapter_alone_is_its_base_with_the_adapter_in_it(base: Path, adapter: Path) -> None:
    ids = torch.tensor([[4, 5, 6]])
    plain, merged = load_model(str(base)), load_model(str(adapter))
    assert merged.directory == base
    assert not torch.equal(plain.model(ids).logits, merged.model(ids).logits)
    assert not any("lora" in name for name, _ in merged.model.named_parameters())
    assert load_processor_alone(str(adapter)).directory == base


def test_an_adapter_alone_is_no_model_to_cut(adapter: Path) -> None:
    with pytest.raises(UsageError, match="is an adapter, not a checkpoint: give its base model"):
        resolve(str(adapter))


def test_an_adapter_of_an_adapter_or_of_nothing_is_refused(adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    for name, said in ((str(adapter), "an adapter again"), (None, "no model")):
        text = json.dumps(config | {"base_model_name_or_path": name})
        (adapter / "adapter_config.json").write_text(text)
        with pytest.raises(TaloError, match=f"names as its base .*{said}"):
            load_model(str(adapter))
    (adapter / "adapter_config.json").write_text("[]")
    with pytest.raises(TaloError, match="is no PEFT config"):
        load_model(str(adapter))


def test_an_adapter_beside_full_weights_is_refused_by_every_command(
    mixture: Path, tmp_path: Path
) -> None:
    task = ("--task", str(task_file(tmp_path)))
    for line in (
        ("inspect", str(mixture)),
        ("evaluate", "--model", str(mixture), *task),
        ("probe", "--model", str(mixture), *task, "--shots", "4"),
        ("compare", "--model", str(mixture), *task, "--shots", "4"),
        ("export", "--model", str(mixture), "--layer", "1", "--out", str(tmp_path / "out")),
        ("diff", str(mixture), str(mixture)),
    ):
        assert "holds an adapter (adapter_config.json) beside full weights" in refused(*line), line
    assert not (tmp_path / "out").exists()


def test_an_index_without_metadata_is_said_to_have_none(base: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    LlamaForCausalLM.from_pretrained(base).save_pretrained(sharded, max_shard_size="20KB")
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    for metadata in ({}, {"metadata": None}, {"metadata": [1]}):
        index.write_text(json.dumps({"weight_map": content["weight_map"]} | metadata))
        with pytest.raises(TaloError, match=r'index\.json has no "metadata" map'):
            load_model(str(sharded))


def test_metadata_that_are_null_are_named_before_anything_is_probed(
    base: Path, tmp_path: Path
) -> None:
    file = base / "model.safetensors"
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.dumps(json.loads(whole[8 : 8 + length]) | {"__metadata__": None}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + whole[8 + length :])
    out = tmp_path / "run"
    task = ("--task", str(task_file(tmp_path)))
    for line in (
        ("inspect", str(base)),
        ("export", "--model", str(base), "--layer", "1", "--out", str(tmp_path / "out")),
        ("probe", "--model", str(base), *task, "--out", str(out), "--shots", "4"),
    ):
        assert "its __metadata__ is null, not a map of texts" in refused(*line)
    assert not list(out.glob("*.sqlite"))


def test_a_word_beyond_the_embedding_is_named_with_its_item(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["zz"])
    tokenizer.save_pretrained(base)
    loaded = load_model(str(base))
    fits, *_ = (item for item in learnable_task(12).items if "zz" not in item.prompt)
    encode(loaded, fits, Scoring(kind="likelihood"))
    beyond = next(item for item in learnable_task(12).items if "zz" in item.prompt)
    with pytest.raises(TaloError, match=rf"{beyond.id}.* the token 'zz' \(260\).* ends at 259"):
        encode(loaded, beyond, Scoring(kind="likelihood"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(base: Path, tmp_path: Path, value: float) -> None:
    model = LlamaForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = value
    model.save_pretrained(base)
    task = ("--task", str(task_file(tmp_path)), "--scoring", "likelihood")
    for line in (
        ("evaluate", "--model", str(base), *task, "--out", str(tmp_path / "answers")),
        ("probe", "--model", str(base), *task, "--out", str(tmp_path / "run"), "--shots", "4"),
    ):
        assert "weight model.layers.1.mlp.up_proj.weight holds NaN or Inf" in refused(*line)
