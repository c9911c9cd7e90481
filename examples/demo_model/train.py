"""Train the bundled demo model.

    python examples/demo_model/train.py --out runs/demo_training

Two CPU cores are enough, one will do. Kill it at any moment and run the same line again: it goes
on from its last checkpoint. The same seed gives the same weights on the same machine.

Four stages. In the first the decoder alone learns what the letter before a choice stands for; in
the second vision tower and projector learn to say what a patch of a map shows in the decoder's own
word embeddings; in the third the decoder learns to talk about maps, the pictures as they came out
of the second; in the fourth with people who say what they think the answer is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from architecture import IMAGE_TOKENS, SPECIAL, build_model, build_processor, build_tokenizer
from curriculum import guessed_lesson, lesson
from exercises import POOLS, Turn, exercise
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast
from vision import PatchReader, labelled_pictures

from talo_export.demo.drawing import Scene, draw
from talo_export.models.dtypes import is_native

IGNORED = -100
DROP_ATTENTION = 0.05
"""Stochastic depth: in stage three each decoder layer's attention is left out for this share of
the pictures, every layer alike."""
EXERCISE_STEPS, EXERCISES = 800, 64
PATCH_STEPS, PICTURES = 900, 24
MAP_STEPS, ROWS = 6000, 8
GUESS_STEPS, GUESS_ROWS = 700, 6
LEARNING_RATE = 1.5e-3
"""Peak, in units of AdamW's: Muon's steps are scaled to the same root mean square."""
WORD_LEARNING_RATE = 1e-3
GUESS_LEARNING_RATE = 5e-4
WARM_UP = 0.01
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


def collate(
    lessons: list[tuple[Scene, tuple[Turn, ...], bool]], tokenizer: PreTrainedTokenizerFast
) -> Batch:
    """Lessons as a batch: scene, conversations, and whether the picture is to be seen or grey."""
    code = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    prefix = [code["<s>"], code["<|user|>"]] + IMAGE_TOKENS * [code["<image>"]]
    pixels, rows = [], []
    for scene, turns, seen in lessons:
        picture = np.asarray(draw(scene), dtype=np.float32)
        pixels.append(picture if seen else np.full_like(picture, picture.mean()))
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
    # On a processor that only emulates it bfloat16 would be slower than float32.
    fast = model.device.type != "cpu" or is_native(torch.bfloat16)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=fast):
        hidden = model.model(
            input_ids=batch.tokens,
            pixel_values=batch.pixels,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
        ).last_hidden_state
        logits = model.lm_head(hidden.flatten(0, 1)[batch.answers])
    return nn.functional.cross_entropy(logits.float(), batch.targets)


def add_stochastic_depth(
    model: LlavaForConditionalGeneration, share: float
) -> list[RemovableHandle]:
    """Leave out each layer's attention for a random `share` of rows; the rest is scaled up."""

    def drop(module: nn.Module, _inputs: object, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not module.training:
            return output
        kept = torch.rand(output[0].shape[0], 1, 1, device=output[0].device) >= share
        return (output[0] * kept / (1 - share), *output[1:])

    layers = model.model.language_model.layers
    return [layer.self_attn.register_forward_hook(drop) for layer in layers]


def schedule(progress: float) -> float:
    """Relative learning rate at a share of a stage: linear warm-up, then half a cosine to 0."""
    return min(1.0, progress / WARM_UP + 0.01) * 0.5 * (1 + math.cos(math.pi * progress))


class Optimiser:
    """Muon for the matrices inside the layers, AdamW for embeddings, biases and norms.

    Muon (Jordan et al., 2024; torch's own) gets a small decoder off its plateaus in half as many
    steps as AdamW alone does. To `tune` a trained one, AdamW serves for all.
    """

    def __init__(self, *modules: nn.Module, tune: bool = False) -> None:
        self.parameters = [p for module in modules for p in module.parameters()]
        words = {id(p) for module in modules for part in module.modules()
                 if isinstance(part, nn.Embedding) for p in part.parameters()}  # fmt: skip
        inner = [p for p in self.parameters if p.ndim == 2 and id(p) not in words]
        outer = [p for p in self.parameters if p.ndim != 2 or id(p) in words]
        adamw = partial(torch.optim.AdamW, betas=(0.9, 0.98), fused=True)
        self.parts: dict[torch.optim.Optimizer, float] = {
            adamw(inner, weight_decay=WEIGHT_DECAY): GUESS_LEARNING_RATE,
            adamw(outer, weight_decay=0.0): GUESS_LEARNING_RATE,
        } if tune else {
            torch.optim.Muon(
                inner, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"
            ): LEARNING_RATE,
            adamw(outer, weight_decay=0.01): WORD_LEARNING_RATE,
        }  # fmt: skip

    def step(self, loss: Tensor, progress: float) -> None:
        """One step down the loss at a share of the stage, gradients clipped to norm 1."""
        for part, peak in self.parts.items():
            part.zero_grad(set_to_none=True)
            for group in part.param_groups:
                group["lr"] = peak * schedule(progress)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        """Both parts' states, for a checkpoint."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """Go on from a checkpoint."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


@dataclass
class Diary:
    """Prints the mean loss and the time every hundred steps."""

    stage: str
    started: float = field(default_factory=time.monotonic)
    losses: list[float] = field(default_factory=list)

    def note(self, step: int, loss: Tensor) -> bool:
        """Whether this was a hundredth step."""
        self.losses.append(loss.item())
        if (step + 1) % 100:
            return False
        line = {"stage": self.stage, "step": step + 1,
                "seconds": round(time.monotonic() - self.started),
                "loss": round(sum(self.losses) / len(self.losses), 4)}  # fmt: skip
        print(json.dumps(line), flush=True)
        self.losses.clear()
        return True


def learn_letters(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    """Stage one. The options are colours alone for its first two fifths."""
    decoder = model.model.language_model
    optimiser, diary = Optimiser(decoder), Diary("letters")
    for step in range(EXERCISE_STEPS):
        rng = random.Random(f"talo-export demo exercises {seed} {step}")
        pools = 1 if step < 0.4 * EXERCISE_STEPS else len(POOLS)
        turns = [exercise(rng, pools, copying=True) for _ in range(EXERCISES)]
        tokens, targets = (rows.to(model.device) for rows in as_text(turns, tokenizer))
        with torch.autocast(model.device.type, torch.bfloat16):
            hidden = decoder(input_ids=tokens, use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[targets != IGNORED])
        loss = nn.functional.cross_entropy(logits.float(), targets[targets != IGNORED])
        optimiser.step(loss, step / EXERCISE_STEPS)
        diary.note(step, loss)


def as_text(turns: list[Turn], tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, Tensor]:
    """Conversations without a picture: tokens and next tokens to judge, (turns, length) each."""
    code = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    rows = []
    for turn in turns:
        user, answer = (tokenizer(text, add_special_tokens=False)["input_ids"]
                        for text in (turn.user, turn.answer))  # fmt: skip
        tokens = [code["<s>"], code["<|user|>"], *user, code["<|assistant|>"], *answer]
        rows.append((tokens, [IGNORED] * (len(user) + 2) + [*answer, code["</s>"]]))
    length = max(len(tokens) for tokens, _ in rows)
    return (
        torch.tensor([t + [code["<pad>"]] * (length - len(t)) for t, _ in rows]),
        torch.tensor([t + [IGNORED] * (length - len(t)) for _, t in rows]),
    )


def learn_to_see(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    """Stage two, on the vision tower and the projector alone."""
    embedding = model.model.language_model.embed_tokens.weight.detach()
    reader = PatchReader(tokenizer, embedding)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    optimiser, diary = Optimiser(tower, projector), Diary("patches")
    for step in range(PATCH_STEPS):
        patches = labelled_pictures(seed, step, PICTURES).to(model.device)
        features = projector(tower(patches.pixels).last_hidden_state[:, 1:])
        loss = reader.loss(features, patches)
        optimiser.step(loss, step / PATCH_STEPS)
        diary.note(step, loss)
    # Only directions counted so far: now pictures are made as loud as words.
    with torch.no_grad():
        loudness = features.std() / embedding.std()
        projector.linear_2.weight.div_(loudness)
        projector.linear_2.bias.div_(loudness)


def learn_maps(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
    saved: Path,
) -> None:
    """Stage three, on the decoder alone; goes on from `saved` where there is such a file."""
    depth = add_stochastic_depth(model, DROP_ATTENTION)
    for part in (model.model.vision_tower, model.model.multi_modal_projector):
        part.requires_grad_(False)
    # Its backward pass is faster than the fused attention's under a mask of many short blocks.
    model.model.language_model.set_attn_implementation("eager")
    optimiser, diary, first = Optimiser(model.model.language_model), Diary("maps"), 0
    if saved.exists():
        state = torch.load(saved, weights_only=True, map_location=model.device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    model.train()
    for step in range(first, MAP_STEPS):
        torch.manual_seed(seed * 1_000_003 + step)
        numbers = range(step * ROWS, (step + 1) * ROWS)
        batch = collate([(*lesson(seed, number), True) for number in numbers], tokenizer)
        loss = loss_of(model, batch.to(model.device))
        optimiser.step(loss, step / MAP_STEPS)
        if diary.note(step, loss):
            save(saved, {"model": model.state_dict(), "optimiser": optimiser.state_dict(),
                         "step": step + 1})  # fmt: skip
    for hook in depth:
        hook.remove()


def learn_guesses(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    """Stage four, on all of the decoder: askers who say what they think, and mostly are right."""
    model.model.language_model.set_attn_implementation("sdpa")
    optimiser, diary = Optimiser(model.model.language_model, tune=True), Diary("guesses")
    model.train()
    for step in range(GUESS_STEPS):
        numbers = range(step * GUESS_ROWS, (step + 1) * GUESS_ROWS)
        batch = collate([guessed_lesson(seed, number) for number in numbers], tokenizer)
        loss = loss_of(model, batch.to(model.device))
        optimiser.step(loss, step / GUESS_STEPS)
        diary.note(step, loss)


def save(path: Path, state: dict) -> None:
    """Write a checkpoint so that a kill leaves the old one or the new one."""
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def train(out: Path, seed: int, device: str) -> None:
    """All stages that `out` does not hold yet, then the checkpoint directory `out/model`."""
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(seed)
    model = build_model(tokenizer, seed).to(device)
    for number, learn in enumerate((learn_letters, learn_to_see), start=1):
        done = out / f"stage{number}.pt"
        if done.exists():
            model.load_state_dict(torch.load(done, weights_only=True, map_location=device))
        else:
            torch.manual_seed(seed)
            learn(model, tokenizer, seed)
            save(done, model.state_dict())
    learn_maps(model, tokenizer, seed, out / "stage3.pt")
    learn_guesses(model, tokenizer, seed)
    model.save_pretrained(out / "model")
    build_processor(tokenizer).save_pretrained(out / "model")


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda where there is a GPU")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.out, arguments.seed, arguments.device)


if __name__ == "__main__":
    main()
