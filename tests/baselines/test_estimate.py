"""Predicted memory against the peak that a process of its own reaches."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaNextConfig,
    LlavaOnevisionConfig,
    MllamaConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLConfig,
)

from talo_export.baselines.adapters import attach
from talo_export.baselines.estimate import estimate, forward_only, probing_pass, training_pass
from talo_export.baselines.image_tokens import image_tokens
from talo_export.baselines.settings import Training
from talo_export.baselines.training import training_mode
from talo_export.errors import UsageError
from talo_export.models.finding import find_decoder
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import PeakMemory, return_what_is_freed

SIZES = {
    "vocab_size": 4000, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


def loaded(config: LlamaConfig, kind: type, dtype: torch.dtype) -> LoadedModel:
    model = kind(config).to(dtype).eval().requires_grad_(False)
    return LoadedModel(
        model=model, processor=None, tokenizer=None, decoder=find_decoder(model),
        directory=None, name="random", revision=None, is_vlm=False,
    )  # type: ignore[arg-type]  # fmt: skip


def work(one: LoadedModel, tokens: int, batch: int, training: Training) -> None:
    adapted = attach(one, "lora", training, seed=0)
    weights = [p for p in adapted.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights)
    with training_mode(adapted, training.gradient_checkpointing):
        for _ in range(2):
            training_pass(adapted, tokens, 1, batch).backward()
            optimizer.step()
            optimizer.zero_grad()


def workspace(one: LoadedModel, tokens: int, batch: int) -> int:
    """Bytes that this processor's kernel takes for itself while it multiplies by the output head:
    for bfloat16 that it emulates, the product in float32."""
    head = one.model.get_output_embeddings().weight
    hidden = torch.zeros(batch, tokens, head.shape[1], dtype=head.dtype)
    memory = PeakMemory(torch.device("cpu"))
    memory.begin()
    with torch.inference_mode():
        product = torch.nn.functional.linear(hidden, head)
    return memory.read().used - product.numel() * product.element_size()


def measure(
    config: LlamaConfig, kind: type, dtype: torch.dtype, training: Training,
    tokens: int, batch: int, to: Connection,
) -> None:  # fmt: skip
    """Send the peaks of inference, without the output head's workspace, of probing and of training,
    in bytes above the interpreter and libraries."""
    torch.set_num_threads(1)
    return_what_is_freed()
    # Library code counts as resident once it has run: let it run on something small first.
    small = kind(type(config)(**{**SIZES, "hidden_size": 32, "intermediate_size": 32}))
    tiny = loaded(small.config, kind, dtype)
    forward_only(tiny.model, 8, 1)
    probing_pass(tiny, 8)
    work(tiny, 8, 1, training)
    memory = PeakMemory(torch.device("cpu"))
    memory.begin()
    one = loaded(config, kind, dtype)
    memory.begin()
    forward_only(one.model, tokens, batch)
    inference = memory.read().used - workspace(one, tokens, batch)
    memory.begin()
    assert probing_pass(one, tokens)
    probing = memory.read().used
    memory.begin()
    work(one, tokens, batch, training)
    to.send((inference, probing, memory.read().used))


@pytest.mark.parametrize(
    ("config", "kind", "dtype", "training", "tokens", "batch"),
    [
        (LlamaConfig(**SIZES), LlamaForCausalLM, torch.float32, Training(), 256, 4),
        (LlamaConfig(**SIZES), LlamaForCausalLM, torch.float32,
         Training(gradient_checkpointing=True), 256, 4),
        # One item a pass, as we train: with several, CPU kernels for bfloat16 copy the output
        # head once an item, which no operation shows.
        (Qwen2Config(**SIZES), Qwen2ForCausalLM, torch.bfloat16, Training(rank=16), 2048, 1),
    ],
    ids=["llama-float32", "checkpointing", "qwen2-bfloat16"],
)  # fmt: skip
def test_predicted_peaks_are_within_a_fifth_of_measured_ones(
    config: LlamaConfig, kind: type, dtype: torch.dtype, training: Training,
    tokens: int, batch: int,
) -> None:  # fmt: skip
    (predicted,) = estimate(
        config, dtype=str(dtype).removeprefix("torch."), tokens=tokens, batches=(batch,),
        training=training,
    )  # fmt: skip
    # Forked from a server that has run nothing: a heap that other tests have used would be used
    # again, and count as nothing.
    fresh = multiprocessing.get_context("forkserver")
    ours, theirs = fresh.Pipe()
    process = fresh.Process(
        target=measure, args=(config, kind, dtype, training, tokens, batch, theirs)
    )
    process.start()
    theirs.close()
    inference, probing, trained = ours.recv()
    process.join()
    assert predicted.inference == pytest.approx(inference, rel=0.2)
    assert predicted.probing == pytest.approx(probing, rel=0.2)
    assert predicted.training == pytest.approx(trained, rel=0.2)


def test_a_prediction_needs_sensible_numbers_and_a_known_adapter() -> None:
    config = LlamaConfig(**SIZES)
    with pytest.raises(UsageError, match="at least 1"):
        estimate(config, tokens=0)
    with pytest.raises(UsageError, match="no adapter"):
        estimate(config, adapters=("none",))


def test_nf4_takes_about_a_quarter_of_the_decoders_bfloat16() -> None:
    config = LlamaConfig(**{**SIZES, "vocab_size": 8})
    (whole,) = estimate(config, dtype="bfloat16", tokens=8)
    (quantised,) = estimate(config, dtype="bfloat16", tokens=8, four_bit=True)
    assert quantised.weights / whole.weights == pytest.approx(4.127 / 16, abs=0.02)


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        (LlavaNextConfig(), 5 * 576),  # the whole picture and four tiles
        (LlavaOnevisionConfig(), 10 * 729),  # anyres_max_9
        (Gemma3Config(), 256),
        (Qwen2VLConfig(), (1024 // 14 / 2 + 0.5) ** 2),  # of any size: 1,024 by 1,024 pixels
        (MllamaConfig(), 0),  # read by cross-attention
        (LlamaConfig(), 0),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_a_picture_takes_the_tokens_that_its_model_gives_it(
    config: PreTrainedConfig, tokens: float
) -> None:
    assert image_tokens(config) == tokens


def test_a_prediction_counts_the_picture_and_every_adapter_that_is_named() -> None:
    vision = CLIPVisionConfig(
        image_size=28, patch_size=14, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2,
    )  # fmt: skip
    config = LlavaNextConfig(
        vision_config=vision, text_config=LlamaConfig(**SIZES), image_seq_length=4,
        image_grid_pinpoints=[[28, 56], [56, 56]],
    )  # fmt: skip
    seen = estimate(config, tokens=100, adapters=("lora", "ia3"), batches=(1, 2))
    assert [(f.adapter, f.batch) for f in seen] == [
        ("lora", 1), ("lora", 2), ("ia3", 1), ("ia3", 2)
    ]  # fmt: skip
    assert {(f.tokens, f.image_tokens) for f in seen} == {(100, 20)}
    (longer,) = estimate(config.text_config, tokens=120)
    assert seen[0].activations == pytest.approx(longer.activations, rel=0.02)
