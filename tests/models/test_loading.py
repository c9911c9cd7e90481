"""Loading: complete models ready for inference, or one sentence about what is amiss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from talo_export.errors import TaloError, UsageError
from talo_export.models.loading import load_model


def rewrite(file: Path, **changes: Any) -> None:
    """Change entries of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_text_model_is_ready_for_inference(text_checkpoint: Path) -> None:
    loaded = load_model(str(text_checkpoint))
    assert not loaded.is_vlm
    assert loaded.processor is loaded.tokenizer
    assert len(loaded.decoder) == 3
    assert loaded.device == torch.device("cpu")
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.name, loaded.directory) == (str(text_checkpoint), text_checkpoint)


def test_a_vlm_gets_its_own_class_and_a_processor_that_needs_no_torchvision(
    vlm_checkpoint: Path,
) -> None:
    loaded = load_model(str(vlm_checkpoint))
    assert loaded.is_vlm
    assert loaded.decoder.path == "model.language_model.layers"
    inputs = loaded.processor(images=[Image.new("RGB", (40, 30))], text=["<image> a"])
    assert len(inputs["pixel_values"]) == 1
    assert loaded.tokenizer is loaded.processor.tokenizer


def test_whether_there_is_a_chat_template_can_be_asked(
    text_checkpoint: Path, vlm_checkpoint: Path
) -> None:
    assert not load_model(str(text_checkpoint)).has_chat_template
    assert load_model(str(vlm_checkpoint)).has_chat_template


def test_our_copy_of_the_tokenizer_has_a_pad_token_and_the_files_stay_as_they_are(
    text_checkpoint: Path,
) -> None:
    before = {file.name: file.read_bytes() for file in text_checkpoint.iterdir()}
    loaded = load_model(str(text_checkpoint))
    assert loaded.tokenizer.pad_token == "</s>"
    assert {file.name: file.read_bytes() for file in text_checkpoint.iterdir()} == before


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_asked_for_is_the_dtype_loaded(text_checkpoint: Path, dtype: str) -> None:
    loaded = load_model(str(text_checkpoint), dtype=dtype)
    assert {p.dtype for p in loaded.model.parameters()} == {getattr(torch, dtype)}


def test_a_device_map_hands_the_placement_to_accelerate(text_checkpoint: Path) -> None:
    loaded = load_model(str(text_checkpoint), device_map="cpu")
    assert loaded.device.type == "cpu"


@pytest.mark.parametrize(
    "options", [{"dtype": "int3"}, {"device": "quantum"}, {"device": "cuda:77"}]
)
def test_an_option_that_makes_no_sense_is_wrong_usage(
    text_checkpoint: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=next(iter(options.values()))):
        load_model(str(text_checkpoint), **options)


@pytest.mark.parametrize("length", [3, 2000, -1])
def test_a_weight_file_cut_short_is_named_damaged(text_checkpoint: Path, length: int) -> None:
    file = text_checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(TaloError, match="damaged or cut short"):
        load_model(str(text_checkpoint))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"num_hidden_layers": 4}, "missing model.layers.3"),
        ({"num_hidden_layers": 2}, "unexpected model.layers.2"),
        ({"intermediate_size": 40}, "mismatched model.layers.0.mlp"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_named(
    text_checkpoint: Path, change: dict[str, int], kind: str
) -> None:
    rewrite(text_checkpoint / "config.json", **change)
    with pytest.raises(TaloError, match=kind):
        load_model(str(text_checkpoint))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "config of .* cannot be read"),
        ('{"model_type": "nobody_knows"}', "model type this transformers does not know"),
        ("{}", "model type this transformers does not know"),
        ('{"model_type": "vit"}', "'vit' is neither a vision-language model"),
    ],
)
def test_a_config_of_no_use_is_one_sentence(text_checkpoint: Path, config: str, said: str) -> None:
    (text_checkpoint / "config.json").write_text(config)
    with pytest.raises(TaloError, match=said):
        load_model(str(text_checkpoint))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": "3"}, "'num_hidden_layers' expected int, got str"),
        ({"num_attention_heads": 3}, "is not a multiple of the number of attention heads"),
    ],
)
def test_a_config_that_contradicts_itself_is_told_why(
    text_checkpoint: Path, changes: dict[str, Any], said: str
) -> None:
    rewrite(text_checkpoint / "config.json", **changes)
    with pytest.raises(TaloError, match=said):
        load_model(str(text_checkpoint))


@pytest.mark.parametrize(
    ("file", "part"), [("config", "config"), ("tokenizer_config", "tokenizer")]
)
def test_json_that_is_no_object_is_one_sentence(
    text_checkpoint: Path, file: str, part: str
) -> None:
    for text in ("null", "[]"):
        (text_checkpoint / f"{file}.json").write_text(text)
        with pytest.raises(TaloError, match=rf"{text_checkpoint}") as caught:
            load_model(str(text_checkpoint))
        assert part in str(caught.value) or "model type" in str(caught.value)


def test_code_in_a_repository_is_never_run_unasked(text_checkpoint: Path) -> None:
    marker = text_checkpoint / "ran"
    (text_checkpoint / "code.py").write_text(f"open({str(marker)!r}, 'w')")
    rewrite(
        text_checkpoint / "config.json",
        model_type="brings_its_own",
        auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"},
    )
    with pytest.raises(TaloError, match="--trust-remote-code"):
        load_model(str(text_checkpoint))
    assert not marker.exists()


def test_a_missing_tokenizer_is_one_sentence(text_checkpoint: Path) -> None:
    (text_checkpoint / "tokenizer.json").unlink()
    with pytest.raises(TaloError, match="the tokenizer of"):
        load_model(str(text_checkpoint))
