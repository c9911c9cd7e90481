"""`compare`'s LoRA against a plain PEFT script: the same items, both as whole processes.

    python examples/comparison/plain_peft.py MODEL TASK.jsonl --out FOLDER

The plain script is what one writes after PEFT's quick tour: transformers' Trainer, padded batches,
labels on the answer alone, `LoraConfig` with rank, scale, targets, learning rate, schedule and
epochs as `compare` has them. Each side answers the items that `compare` kept for testing: which
choice is likeliest after the prompt. TASK holds verbatim prompts with choices. Peak memory is the
operating system's figure of a side's whole process tree, its libraries and the model's loading
included. Prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RANK, SCALE, LEARNING_RATE, BATCH = 8, 16, 2e-4, 4


@dataclass(frozen=True)
class Cost:
    """What a process and its children took."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def measured(command: list[str]) -> Cost:
    """Run a command to its end. This process is small: a child starts with its peak."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(
        time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    )


def plain(request: dict[str, Any]) -> dict[str, bool]:
    """Train on some items and answer others; nothing here is of talo-export."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(request["seed"])
    tokenizer = AutoTokenizer.from_pretrained(request["model"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype="auto")
    config = LoraConfig(
        task_type="CAUSAL_LM", r=RANK, lora_alpha=SCALE, target_modules="all-linear"
    )
    model = get_peft_model(model, config)

    def encode(item: dict[str, Any], choice: str) -> dict[str, list[int]]:
        prompt = tokenizer(item["prompt"])["input_ids"]
        whole = tokenizer(f"{item['prompt']} {choice}")["input_ids"]
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        return {"input_ids": whole, "attention_mask": [1] * len(whole), "labels": labels}

    rows = Path(request["task"]).read_text(encoding="utf-8").splitlines()
    items = {item["id"]: item for item in map(json.loads, rows)}
    train = [items[name] for name in request["train"]]
    collate = DataCollatorForSeq2Seq(tokenizer)
    Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=request["out"],
            num_train_epochs=request["epochs"],
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            warmup_steps=0.1,
            weight_decay=0.0,
            seed=request["seed"],
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=Dataset.from_list(
            [encode(item, item["choices"][item["answer"]]) for item in train]
        ),
        data_collator=collate,
    ).train()

    model.eval()
    right = {}
    for name in request["test"]:
        item = items[name]
        batch = collate([encode(item, choice) for choice in item["choices"]]).to(model.device)
        labels = batch.pop("labels")[:, 1:]
        with torch.inference_mode():
            scores = model(**batch).logits[:, :-1].log_softmax(-1)
        answered = labels != -100
        picked = scores.gather(-1, labels.where(answered, 0)[..., None])[..., 0]
        right[name] = int((picked * answered).sum(1).argmax()) == item["answer"]
    return right


def rows(given: argparse.Namespace) -> Iterator[tuple[str, float, int, Cost]]:
    """(side, accuracy, test items, cost) of both sides and every seed, seed after seed."""
    for seed in range(given.seeds):
        # A comparison of one seed: --seeds N is the seeds from 0 on, and those there are kept.
        out = given.out / "compare"
        ours = measured(
            [
                sys.executable, "-m", "talo_export", "compare", "--model", given.model,
                "--task", given.task, "--methods", "lora", "--shots", str(given.shots),
                "--seeds", str(seed + 1), "--test-limit", str(given.test_limit),
                "--scoring", "likelihood", "--epochs", str(given.epochs), "--quiet",
                "--out", str(out),
            ]
        )  # fmt: skip
        (cell,) = out.rglob(f"lora-{given.shots}-{seed}-*.request.json")
        request = json.loads(cell.read_text())
        result = json.loads(cell.with_name(cell.name.replace(".request.", ".result.")).read_text())
        yield "compare", _share(result["correct"]), len(result["correct"]), ours

        asked = given.out / f"plain-{seed}.json"
        wanted = {name: request[name] for name in ("seed", "train", "test")}
        same = {"model": given.model, "task": given.task, "epochs": given.epochs}
        asked.write_text(json.dumps({**wanted, **same, "out": str(given.out / "trainer")}))
        theirs = measured([sys.executable, __file__, "--plain", str(asked)])
        right = json.loads(asked.with_suffix(".result.json").read_text())
        yield "plain PEFT script", _share(right), len(right), theirs


def _share(right: dict[str, bool]) -> float:
    return sum(right.values()) / len(right)


def main() -> None:
    if sys.argv[1:2] == ["--plain"]:
        asked = Path(sys.argv[2])
        right = plain(json.loads(asked.read_text()))
        asked.with_suffix(".result.json").write_text(json.dumps(right))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("task")
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--test-limit", type=int, default=55)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("| seed | LoRA by | accuracy | peak memory | CPU seconds |\n|---:|---|---:|---:|---:|")
    for index, (side, accuracy, n, cost) in enumerate(rows(given)):
        print(
            f"| {index // 2} | {side} | {accuracy:.1%} of {n} | "
            f"{cost.peak_bytes / 2**20:,.0f} MiB | {cost.cpu_seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
