"""Train the bundled demo model.

    python examples/demo_model/train.py --out runs/demo_training --minutes 60

Two CPU cores are enough. Kill it at any moment and run the same line again: it goes on from its
last checkpoint. The learning rate follows the share of the time budget spent, so that a run ends
annealed however fast the machine is; with `--steps` instead it depends on the step alone, and the
same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from architecture import IMAGE_TOKENS, SPECIAL, build_model, build_processor, build_tokenizer
from curriculum import lesson
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast
from vision import PatchReader, labelled_pictures

from talo_export.demo.drawing import draw

IGNORED = -100
DROP_ATTENTION = 0.1
"""Stochastic depth: each decoder layer's attention is left out for this share of the pictures,
every layer alike."""
PEAK_LEARNING_RATE = 1.5e-3
PRETRAINING_STEPS = 800
PRETRAINING_PICTURES = 24
WARM_UP = 0.04
WEIGHT_DECAY = 0.05


@dataclass(frozen=True)
class Batch:
    """Several pictures with their conversations packed into one row each.

    A row is the picture followed by its conversations; each conversation attends to the picture
    and to itself, and its positions start where the picture ends, so that every one of them is
    computed as if it stood alone.
    """

    pixels: Tensor
    """(rows, 3, SIZE, SIZE) in [-1, 1]."""
    tokens: Tensor
    """(rows, length)"""
    positions: Tensor
    """(rows, length)"""
    mask: Tensor
    """(rows, 1, length, length), added to the attention scores."""
    answers: Tensor
    """(answer tokens,): flat positions, row * length + column, whose next token is judged."""
    targets: Tensor
    """(answer tokens,)"""


def collate(numbers: range, seed: int, tokenizer: PreTrainedTokenizerFast) -> Batch:
    """The lessons with these numbers as a batch."""
    code = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    prefix = [code["<s>"], code["<|user|>"]] + IMAGE_TOKENS * [code["<image>"]]
    pixels, rows = [], []
    for number in numbers:
        scene, turns = lesson(seed, number)
        pixels.append(np.asarray(draw(scene), dtype=np.float32))
        users = tokenizer([turn.user for turn in turns], add_special_tokens=False)["input_ids"]
        answers = tokenizer([turn.answer for turn in turns], add_special_tokens=False)["input_ids"]
        tokens, segments, positions = list(prefix), [0] * len(prefix), list(range(len(prefix)))
        targets = [IGNORED] * len(prefix)
        for index, (user, answer) in enumerate(zip(users, answers, strict=True), start=1):
            turn = [*user, code["<|assistant|>"], *answer]
            tokens += turn
            segments += [index] * len(turn)
            positions += range(len(prefix), len(prefix) + len(turn))
            targets += [IGNORED] * len(user) + [*answer, code["</s>"]]
        rows.append((tokens, segments, positions, targets))
    length = max(len(row[0]) for row in rows)

    def padded(column: int, filler: int) -> Tensor:
        return torch.tensor([row[column] + [filler] * (length - len(row[column])) for row in rows])

    segments, targets = padded(1, -1), padded(3, IGNORED)
    same = segments[:, :, None] == segments[:, None, :]
    visible = (same | (segments[:, None, :] == 0)) & torch.ones(length, length).tril().bool()
    mask = torch.zeros(visible.shape).masked_fill_(~visible, torch.finfo(torch.float32).min)
    flat = targets.flatten()
    judged = (flat != IGNORED).nonzero().squeeze(1)
    pictures = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 127.5 - 1
    return Batch(
        pictures, padded(0, code["<pad>"]), padded(2, 0), mask[:, None], judged, flat[judged]
    )


def loss_of(model: LlavaForConditionalGeneration, batch: Batch) -> Tensor:
    """Mean cross-entropy of the answers' tokens."""
    hidden = model.model(
        input_ids=batch.tokens,
        pixel_values=batch.pixels,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[batch.answers])
    return nn.functional.cross_entropy(logits, batch.targets)


def add_stochastic_depth(model: LlavaForConditionalGeneration, share: float) -> None:
    """Leave out each layer's attention for a random `share` of rows; the rest is scaled up."""

    def drop(module: nn.Module, _inputs: object, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not module.training:
            return output
        kept = torch.rand(output[0].shape[0], 1, 1) >= share
        return (output[0] * kept / (1 - share), *output[1:])

    for layer in model.model.language_model.layers:
        layer.self_attn.register_forward_hook(drop)


def schedule(progress: float) -> float:
    """Learning rate at a share of the training: linear warm-up, then half a cosine to 0."""
    if progress < WARM_UP:
        return PEAK_LEARNING_RATE * (progress / WARM_UP + 0.01)
    return PEAK_LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def optimiser_for(model: nn.Module) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), fused=True)


def pretrain_vision(model: LlavaForConditionalGeneration, steps: int, seed: int) -> None:
    """Stage one, on the vision tower alone."""
    torch.manual_seed(seed)
    reader = PatchReader()
    tower = model.model.vision_tower
    optimiser = optimiser_for(nn.ModuleList([tower, reader]))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule(step / steps)
        patches = labelled_pictures(seed, step, PRETRAINING_PICTURES)
        features = tower(patches.pixels).last_hidden_state[:, 1:]
        loss = reader.loss(features, patches)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 50 == 0:
            print(json.dumps({"vision step": step + 1, "loss": round(loss.item(), 4)}), flush=True)


def train(out: Path, *, minutes: float | None, steps: int | None, rows: int, seed: int) -> None:
    """Train for `minutes` or `steps`, then write the checkpoint directory `out/model`."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(seed)
    model = build_model(tokenizer, seed)
    seeing = out / "vision.pt"
    if seeing.exists():
        model.model.vision_tower.load_state_dict(torch.load(seeing, weights_only=True))
    else:
        pretrain_vision(model, PRETRAINING_STEPS, seed)
        torch.save(model.model.vision_tower.state_dict(), seeing)
    add_stochastic_depth(model, DROP_ATTENTION)
    optimiser = optimiser_for(model)
    saved = out / "training.pt"
    step, spent = 0, 0.0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    model.train()
    progress, loss_sum, report, since = 0.0, 0.0, 50, time.monotonic()
    while True:
        progress = step / steps if steps else spent / (60 * (minutes or 60))
        if progress >= 1:
            break
        torch.manual_seed(seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = schedule(progress)
        loss = loss_of(model, collate(range(step * rows, (step + 1) * rows), seed, tokenizer))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        now = time.monotonic()
        step, spent, since = step + 1, spent + now - since, now
        loss_sum += loss.item()
        if step % report == 0:
            line = {
                "step": step,
                "minutes": round(spent / 60, 2),
                "loss": round(loss_sum / report, 4),
            }
            print(json.dumps(line), flush=True)
            loss_sum = 0.0
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(),
                     "step": step, "spent": spent}  # fmt: skip
            torch.save(state, saved.with_suffix(".part"))
            os.replace(saved.with_suffix(".part"), saved)
    model.save_pretrained(out / "model")
    build_processor(tokenizer).save_pretrained(out / "model")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="time budget")
    parser.add_argument("--steps", type=int, help="step budget, instead of --minutes")
    parser.add_argument("--rows", type=int, default=12, help="pictures in a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if (arguments.minutes is None) == (arguments.steps is None):
        parser.error("give one of --minutes and --steps")
    torch.set_num_threads(arguments.threads)
    train(arguments.out, minutes=arguments.minutes, steps=arguments.steps,
          rows=arguments.rows, seed=arguments.seed)  # fmt: skip


if __name__ == "__main__":
    main()
