"""Our loop does what transformers' Trainer does with PEFT's LoRA: the same weights come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from asking import LIKELIHOOD, STRONG
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from small_models import learnable_task
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

from talo_export.baselines.adapters import attach
from talo_export.baselines.examples import Example, make_example
from talo_export.baselines.training import train
from talo_export.models.loading import LoadedModel

RATE = 1e-2
TRAINING = replace(STRONG, epochs=6)
"""Four items a step: with four items of equally long answers their order changes nothing."""


def trained(adapted: PeftModel) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in adapted.named_parameters() if p.requires_grad}


def by_the_trainer(directory: Path, examples: list[Example], out: Path) -> PeftModel:
    """What one writes after PEFT's quick tour."""
    model = AutoModelForCausalLM.from_pretrained(directory)
    torch.manual_seed(0)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
    adapted = get_peft_model(model, config)
    rows = []
    for example in examples:
        ids = example.inputs["input_ids"][0].tolist()
        labels = [-100] * (len(ids) - example.answer_length) + ids[-example.answer_length :]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    arguments = TrainingArguments(
        output_dir=str(out), num_train_epochs=TRAINING.epochs, learning_rate=RATE,
        per_device_train_batch_size=4, warmup_steps=0.1, weight_decay=0.0, save_strategy="no",
        report_to="none", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    Trainer(
        model=adapted,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(directory)),
    ).train()
    return adapted


def test_the_same_items_give_the_weights_that_the_trainer_gives(
    llama: LoadedModel, llama_directory: Path, tmp_path: Path
) -> None:
    items = [item for item in learnable_task().items if item.answer == 2][:4]
    examples = [make_example(llama, item, LIKELIHOOD) for item in items]
    adapted = attach(llama, "lora", TRAINING, seed=0)
    start = {name: weight.clone() for name, weight in trained(adapted).items()}
    train(adapted, examples, TRAINING, RATE, seed=0)
    ours, theirs = trained(adapted), trained(by_the_trainer(llama_directory, examples, tmp_path))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert (weight - start[name]).abs().max() > 1e-2
        assert (weight - theirs[name]).abs().max() < 1e-5, name
