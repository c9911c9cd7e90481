"""The training loop: AdamW, a linear schedule, one item a pass, through accelerate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from talo_export.baselines.examples import Example, answer_loss
from talo_export.baselines.settings import Training


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did. `losses` are epoch means, in nats a token, before each step."""

    losses: tuple[float, ...]
    steps: int
    diverged: str | None
    """Why the result is not worth testing, one clause; None where it is."""

    @property
    def epochs(self) -> int:
        """Epochs run: fewer than asked for where the loss was low enough or stood still."""
        return len(self.losses)


def train(
    adapted: PeftModel,
    examples: Sequence[Example],
    training: Training,
    learning_rate: float,
    *,
    seed: int,
) -> Trained:
    """Train the adapter on the examples, in place; the base's weights stay as they are.

    The order of the items is drawn from `seed`.
    """
    weights = [p for p in adapted.parameters() if p.requires_grad]
    accelerator = Accelerator(
        cpu=weights[0].device.type == "cpu", gradient_accumulation_steps=training.batch_size
    )
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    steps = training.epochs * math.ceil(len(examples) / training.batch_size)
    schedule = get_linear_schedule_with_warmup(
        optimizer, num_warmup_steps=math.ceil(training.warmup * steps), num_training_steps=steps
    )
    loader = DataLoader(
        list(examples), batch_size=1, shuffle=True, collate_fn=_only,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    optimizer, schedule, loader = accelerator.prepare(optimizer, schedule, loader)
    losses: list[float] = []
    diverged: str | None = None
    done = 0
    with training_mode(adapted, training.gradient_checkpointing):
        for _ in range(training.epochs):
            total = 0.0
            for example in loader:
                with accelerator.accumulate(adapted):
                    loss = answer_loss(adapted, example)
                    total += float(loss.detach())
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(weights, training.clip)
                        done += 1
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad()
            losses.append(total / len(examples))
            diverged = divergence(losses)
            if diverged or finished(losses, training):
                break
    return Trained(tuple(losses), done, diverged)


def divergence(losses: Sequence[float]) -> str | None:
    """Why these epoch losses are a failure: not a number, or far above where they began."""
    if not math.isfinite(losses[-1]):
        return f"the loss became {losses[-1]} in epoch {len(losses)}"
    # Before the first step an epoch's loss is the base's own. A run that ends far above what it
    # was given has unlearnt; 1 nat is added so that a base that was right does not count as such.
    if losses[-1] > 2 * losses[0] + 1:
        return f"the loss rose from {losses[0]:.2f} to {losses[-1]:.2f} in epoch {len(losses)}"
    return None


def finished(losses: Sequence[float], training: Training) -> bool:
    """Early stopping: the loss is low enough, or has had no new low for `patience` epochs."""
    lowest = losses.index(min(losses))
    return losses[-1] < training.enough or len(losses) - 1 - lowest >= training.patience


@contextmanager
def training_mode(adapted: PeftModel, checkpointing: bool) -> Iterator[None]:
    """Train mode for the length of a block, recomputing activations where asked to."""
    model = adapted.get_base_model()
    if checkpointing:
        with renamed_in_transformers():
            model.gradient_checkpointing_enable({"use_reentrant": False})
    adapted.train()
    try:
        yield
    finally:
        adapted.eval()
        if checkpointing:
            with renamed_in_transformers():
                model.gradient_checkpointing_disable()


@contextmanager
def renamed_in_transformers() -> Iterator[None]:
    """Its later versions warn of the name that its earlier ones, which serve as well, have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`gradient_checkpointing_", FutureWarning)
        yield


def _only(rows: list[Example]) -> Example:
    return rows[0]
