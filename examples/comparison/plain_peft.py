"""`compare`'s LoRA against a plain PEFT script: the same items, both as whole processes.

    python examples/comparison/plain_peft.py MODEL TASK.jsonl --out FOLDER

The plain script is what one writes after PEFT's quick tour: transformers' Trainer, padded batches,
labels on the answer alone, `LoraConfig` with rank, scale, targets, learning rate, schedule and
epochs as `compare` has them. Each side answers the items that `compare` kept for testing, before
training and after: which choice is likeliest after the prompt. TASK holds verbatim prompts with
choices. Peak memory is the operating system's figure of the largest process of a side, its
libraries and the model's loading included. Prints the table, and the paired difference. What a
killed run had finished in FOLDER is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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


def plain(request: dict[str, Any]) -> tuple[dict[str, bool], dict[str, bool]]:
    """Which test items are right before and after training; nothing here is of talo-export."""
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
    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype=request["dtype"])
    collate = DataCollatorForSeq2Seq(tokenizer)

    def encode(item: dict[str, Any], choice: str) -> dict[str, list[int]]:
        prompt = tokenizer(item["prompt"])["input_ids"]
        whole = tokenizer(f"{item['prompt']} {choice}")["input_ids"]
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        return {"input_ids": whole, "attention_mask": [1] * len(whole), "labels": labels}

    def right_answers() -> dict[str, bool]:
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

    rows = Path(request["task"]).read_text(encoding="utf-8").splitlines()
    items = {item["id"]: item for item in map(json.loads, rows)}
    train = [items[name] for name in request["train"]]
    before = right_answers()
    config = LoraConfig(
        task_type="CAUSAL_LM", r=RANK, lora_alpha=SCALE, target_modules="all-linear"
    )
    model = get_peft_model(model, config)
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
    return before, right_answers()


@dataclass(frozen=True)
class Side:
    """One side's answers for one seed, by item, and what they took."""

    base: dict[str, bool]
    lora: dict[str, bool]
    cost: Cost


def by_compare(given: argparse.Namespace, seed: int) -> tuple[Side, dict[str, Any]]:
    """What `compare` answers, and the request of its LoRA cell."""
    # A comparison of one seed: --seeds N is the seeds from 0 on, and those there are kept.
    out = given.out / "compare"
    cost = measured(
        [
            sys.executable, "-m", "talo_export", "compare", "--model", given.model,
            "--task", given.task, "--methods", "lora", "--shots", str(given.shots),
            "--seeds", str(seed + 1), "--test-limit", str(given.test_limit),
            "--scoring", "likelihood", "--epochs", str(given.epochs), "--quiet",
            "--out", str(out),
        ]
    )  # fmt: skip
    (base,) = out.rglob(f"base-0-{seed}-*.result.json")
    (lora,) = out.rglob(f"lora-{given.shots}-{seed}-*.result.json")
    request = lora.with_name(lora.name.replace(".result.", ".request."))
    right = (json.loads(path.read_text())["correct"] for path in (base, lora))
    return Side(*right, cost), json.loads(request.read_text())


def by_hand(given: argparse.Namespace, seed: int, like: dict[str, Any]) -> Side:
    """What the plain script answers, on the items of the request `like`."""
    asked = given.out / f"asked-{seed}.json"
    wanted = {name: like[name] for name in ("seed", "train", "test")}
    same = {"model": given.model, "task": given.task, "epochs": given.epochs}
    same |= {"dtype": like["model"]["dtype"], "out": str(given.out / "trainer")}
    asked.write_text(json.dumps(wanted | same))
    cost = measured([sys.executable, __file__, "--plain", str(asked)])
    return Side(*json.loads(asked.with_suffix(".result.json").read_text()), cost)


def sides(given: argparse.Namespace, seed: int) -> dict[str, Side]:
    """Both sides of one seed, by name; read where they are there already."""
    kept = given.out / f"seed-{seed}.json"
    if not kept.exists():
        ours, request = by_compare(given, seed)
        both = (ours, by_hand(given, seed, request))
        kept.write_text(json.dumps([asdict(side) for side in both]))
    read = (Side(**row | {"cost": Cost(**row["cost"])}) for row in json.loads(kept.read_text()))
    return dict(zip(("compare", "plain PEFT script"), read, strict=True))


def difference(seeds: Sequence[dict[str, Side]]) -> str:
    """Ours less theirs over all items and seeds, with its interval, items clustered over seeds."""
    import numpy as np

    from talo_export.evidence.paired import cluster, gain_interval

    changes, names = [], []
    for both in seeds:
        ours, theirs = (side.lora for side in both.values())
        changes += [int(ours[name]) - int(theirs[name]) for name in ours]
        names += ours
    low, high = gain_interval(cluster(np.array(changes), names), seed=0)
    return (
        f"`compare` less the plain script: {100 * sum(changes) / len(changes):+.1f} points, paired "
        f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}, {len(changes)} answers to "
        f"{len(set(names))} items, {sum(map(bool, changes))} of them differ"
    )


def main() -> None:
    if sys.argv[1:2] == ["--plain"]:
        asked = Path(sys.argv[2])
        answers = plain(json.loads(asked.read_text()))
        asked.with_suffix(".result.json").write_text(json.dumps(answers))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("task")
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--test-limit", type=int, default=55)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("| seed | LoRA by | base | with LoRA | peak memory | CPU seconds |")
    print("|---:|---|---:|---:|---:|---:|")
    seeds = []
    for seed in range(given.seeds):
        seeds.append(sides(given, seed))
        for name, side in seeds[-1].items():
            n = len(side.lora)
            print(
                f"| {seed} | {name} | {sum(side.base.values())} of {n} | "
                f"{sum(side.lora.values())} of {n} | {side.cost.peak_bytes / 2**20:,.0f} MiB | "
                f"{side.cost.cpu_seconds:.0f} |",
                flush=True,
            )
    print(f"\n{difference(seeds)}")


if __name__ == "__main__":
    main()
