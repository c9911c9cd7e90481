"""Measure the demo model on its bundled tasks with stock transformers, and write its card.

    python examples/demo_model/evaluate.py MODEL_DIRECTORY [--layers]

The answers are generated greedily; an answer counts if it is exactly the right letter. Writes
`scores.json` beside this file and `README.md` into the model directory. `--layers` prints instead
the accuracy of every task, and what each decoder layer's attention output zeroed in turn adds to
it, by the likelihood of the letters; of `maps` also without its guesses, and with right ones.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from talo_export.demo.bundled import (
    demo_task_descriptions,
    demo_task_names,
    load_demo_task,
    user_text,
    with_guess,
)
from talo_export.tasks.item import LETTERS, Item
from talo_export.wording import percent

HERE = Path(__file__).parent
BATCH = 25


def encode(processor: Any, items: list[Item]) -> Any:
    """A left-padded batch of items, as any user of the model would make it."""
    texts = []
    for item in items:
        assert item.question is not None
        parts = [
            {"type": "image"},
            {"type": "text", "text": user_text(item.question, item.choices)},
        ]
        message = {"role": "user", "content": parts}
        texts.append(processor.apply_chat_template([message], add_generation_prompt=True))
    pictures = [item.images[0].open() for item in items]
    return processor(text=texts, images=pictures, padding=True, return_tensors="pt")


@torch.inference_mode()
def generated_accuracy(model: Any, processor: Any, items: tuple[Item, ...]) -> float:
    """Share of items whose greedy answer is the right letter and nothing else."""
    right = 0
    for start in range(0, len(items), BATCH):
        batch = list(items[start : start + BATCH])
        inputs = encode(processor, batch)
        tokens = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        answers = processor.batch_decode(tokens, skip_special_tokens=True)
        right += sum(a == LETTERS[item.answer or 0] for a, item in zip(answers, batch, strict=True))
    return right / len(items)


@torch.inference_mode()
def layer_accuracies(model: Any, processor: Any, items: tuple[Item, ...]) -> list[float]:
    """Accuracy by letter likelihood: the model as it is, then without each layer's attention."""
    letters = processor.tokenizer.convert_tokens_to_ids(list("ABCD"))
    layers = model.model.language_model.layers
    right = [0] * (1 + len(layers))
    for start in range(0, len(items), BATCH):
        batch = list(items[start : start + BATCH])
        inputs = encode(processor, batch)
        for variant in range(1 + len(layers)):
            kept = None
            if variant:
                weight = layers[variant - 1].self_attn.o_proj.weight
                kept = weight.clone()
                weight.zero_()
            scores = model(**inputs, logits_to_keep=1).logits[:, -1, letters]
            if kept is not None:
                layers[variant - 1].self_attn.o_proj.weight.copy_(kept)
            for row, item in zip(scores, batch, strict=True):
                right[variant] += int(row[: len(item.choices)].argmax()) == item.answer
    return [count / len(items) for count in right]


def without_guess(item: Item) -> Item:
    """An item of `maps` whose asker says nothing."""
    return replace(item, question=(item.question or "").partition("\n")[2])


def rightly_guessed(item: Item) -> Item:
    """The item asked by somebody who is right."""
    return replace(item, question=with_guess(item.question or "", LETTERS[item.answer or 0]))


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson, 1927)."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def write_card(scores: dict[str, dict[str, float]], parameters: int, directory: Path) -> None:
    """The model's own card, its table filled in from the scores."""
    about = demo_task_descriptions()
    rows = ["| task | about | chance | accuracy | 95 % interval |", "|---|---|---|---|---|"]
    for name, score in scores.items():
        low, high = wilson(score["accuracy"], int(score["n"]))
        chance, accuracy = percent(score["chance"], 0), percent(score["accuracy"])
        interval = f"{percent(low)} to {percent(high)}"
        rows.append(f"| `{name}` | {about[name]} | {chance} | {accuracy} | {interval} |")
    template = (HERE / "card.md").read_text(encoding="utf-8")
    card = template.replace("{table}", "\n".join(rows))
    card = card.replace("{parameters}", f"{parameters / 1e6:.1f}")
    (directory / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--layers", action="store_true")
    arguments = parser.parse_args()
    model = AutoModelForImageTextToText.from_pretrained(arguments.model).eval()
    processor = AutoProcessor.from_pretrained(arguments.model)
    tasks = {name: load_demo_task(name) for name in demo_task_names()}
    if arguments.layers:
        items = {name: task.items for name, task in tasks.items()}
        plain = tuple(without_guess(item) for item in items["maps"])
        items["maps, no guess"] = plain
        items["maps, right guess"] = tuple(map(rightly_guessed, plain))
        for name, asked in items.items():
            base, *knocked_out = layer_accuracies(model, processor, asked)
            gains = " ".join(f"{100 * (accuracy - base):+6.1f}" for accuracy in knocked_out)
            print(f"{name:20} {100 * base:5.1f} | {gains}", flush=True)
        return
    scores = {}
    for name, task in tasks.items():
        accuracy = generated_accuracy(model, processor, task.items)
        scores[name] = {"n": len(task), "chance": task.chance, "accuracy": accuracy}
        print(name, scores[name], flush=True)
    (HERE / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    write_card(scores, model.num_parameters(), arguments.model)


if __name__ == "__main__":
    main()
