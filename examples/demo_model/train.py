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
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from architecture import IMAGE_TOKENS, SPECIAL, build_model, build_processor, build_tokenizer
from curriculum import lesson
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast
from vision import PatchReader, labelled_pictures

from talo_export.demo.drawing import draw

IGNORED = -100
DROP_ATTENTION = 0.1
"""Stochastic depth: each decoder layer's attention is left out for this share of the pictures,
every layer alike."""
PEAK_LEARNING_RATE = 1e-3
PRETRAINING_STEPS = 600
PRETRAINING_PICTURES = 24
FROZEN = 0.4
"""For this share of stage two, vision tower and projector stay as stage one left them: a decoder
that cannot read pictures yet would train them to be quiet."""
VISION_LEARNING_RATE = 0.1
"""Their learning rate after that, relative to the decoder's."""
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

    def to(self, device: str) -> Batch:
        """The same batch on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


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


class Lessons(Dataset):
    """Batch number `step` of stage two, made by as many workers as there are."""

    def __init__(self, rows: int, seed: int, tokenizer: PreTrainedTokenizerFast) -> None:
        self.rows, self.seed, self.tokenizer = rows, seed, tokenizer

    def __getitem__(self, step: int) -> Batch:
        return collate(range(step * self.rows, (step + 1) * self.rows), self.seed, self.tokenizer)


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
        kept = torch.rand(output[0].shape[0], 1, 1, device=output[0].device) >= share
        return (output[0] * kept / (1 - share), *output[1:])

    for layer in model.model.language_model.layers:
        layer.self_attn.register_forward_hook(drop)


def schedule(progress: float) -> float:
    """Learning rate at a share of the training: linear warm-up, then half a cosine to 0."""
    if progress < WARM_UP:
        return PEAK_LEARNING_RATE * (progress / WARM_UP + 0.01)
    return PEAK_LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def optimiser_for(*parts: tuple[nn.Module, float]) -> torch.optim.AdamW:
    """AdamW over modules with relative learning rates; weight decay on matrices only."""
    groups = [
        {"params": list(parameters), "weight_decay": decay, "relative": relative}
        for module, relative in parts
        for parameters, decay in (
            ((p for p in module.parameters() if p.ndim >= 2), WEIGHT_DECAY),
            ((p for p in module.parameters() if p.ndim < 2), 0.0),
        )
    ]
    return torch.optim.AdamW(groups, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, progress: float) -> None:
    """Every group's learning rate at a share of the training."""
    for group in optimiser.param_groups:
        group["lr"] = group["relative"] * schedule(progress)


def pretrain_vision(
    model: LlavaForConditionalGeneration, steps: int, seed: int, device: str
) -> None:
    """Stage one, on the vision tower and the projector alone."""
    torch.manual_seed(seed)
    reader = PatchReader().to(device)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    trained = nn.ModuleList([tower, projector, reader])
    optimiser = optimiser_for((trained, 1.0))
    for step in range(steps):
        set_learning_rate(optimiser, step / steps)
        patches = labelled_pictures(seed, step, PRETRAINING_PICTURES).to(device)
        features = projector(tower(patches.pixels).last_hidden_state[:, 1:])
        loss = reader.loss(features, patches)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 50 == 0:
            print(json.dumps({"vision step": step + 1, "loss": round(loss.item(), 4)}), flush=True)
    # The heads looked at directions only; bring the lengths to the scale of what the decoder's
    # layers write.
    with torch.no_grad():
        loudness = features.std()
        projector.linear_2.weight.div_(loudness)
        projector.linear_2.bias.div_(loudness)


def train(
    out: Path,
    *,
    minutes: float | None,
    steps: int | None,
    rows: int,
    seed: int,
    device: str,
    workers: int,
) -> None:
    """Train for `minutes` or `steps`, then write the checkpoint directory `out/model`."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(seed)
    model = build_model(tokenizer, seed).to(device)
    pretrained = out / "vision.pt"
    if pretrained.exists():
        model.load_state_dict(torch.load(pretrained, weights_only=True, map_location=device))
    else:
        pretrain_vision(model, PRETRAINING_STEPS, seed, device)
        torch.save(model.state_dict(), pretrained)
    add_stochastic_depth(model, DROP_ATTENTION)
    seeing = nn.ModuleList([model.model.vision_tower, model.model.multi_modal_projector])
    optimiser = optimiser_for((model.model.language_model, 1.0), (seeing, VISION_LEARNING_RATE))
    saved = out / "training.pt"
    step, spent = 0, 0.0
    if saved.exists():
        state = torch.load(saved, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    model.train()
    progress, loss_sum, report, since = 0.0, 0.0, 100, time.monotonic()
    lessons = Lessons(rows, seed, tokenizer)
    numbers = range(step, 10**9)
    for batch in DataLoader(lessons, batch_size=None, sampler=numbers, num_workers=workers):
        progress = step / steps if steps else spent / (60 * (minutes or 60))
        if progress >= 1:
            break
        torch.manual_seed(seed * 1_000_003 + step)
        set_learning_rate(optimiser, progress)
        seeing.requires_grad_(progress >= FROZEN)
        loss = loss_of(model, batch.to(device))
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
    parser.add_argument("--rows", type=int, default=4, help="pictures in a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda where there is a GPU")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw pictures")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if (arguments.minutes is None) == (arguments.steps is None):
        parser.error("give one of --minutes and --steps")
    torch.set_num_threads(arguments.threads)
    train(arguments.out, minutes=arguments.minutes, steps=arguments.steps,
          rows=arguments.rows, seed=arguments.seed, device=arguments.device,
          workers=arguments.workers)  # fmt: skip


if __name__ == "__main__":
    main()
