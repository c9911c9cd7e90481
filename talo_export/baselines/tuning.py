"""Picking learning rate and epochs by cross-validation on the training items alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

from talo_export.baselines.adapters import ADAPTERS, attached
from talo_export.baselines.examples import Example, held_out_loss, make_example
from talo_export.baselines.settings import Training
from talo_export.baselines.training import train
from talo_export.models.loading import LoadedModel
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item

GRID = (1 / 3, 1.0, 3.0)
"""Factors on the adapter's learning rate."""
FOLDS = 3
"""Each held-out fold of 10 items has 3 or 4: more folds would cost more than they tell."""


def tune(
    loaded: LoadedModel,
    adapter: str,
    items: Sequence[Item],
    training: Training,
    scoring: Scoring,
    *,
    seed: int,
    silent_layer: int | None = None,
) -> Training:
    """`training` with the learning rate and number of epochs of the lowest held-out loss.

    Every candidate is trained on all folds but one and judged after each epoch by the loss on
    that one; losses are averaged over folds, so the number of epochs is chosen with the rate.
    Items of a group stay together. Where there are fewer than two groups nothing can be held
    out, and `training` comes back with its own rate.
    """
    rate = training.learning_rate or ADAPTERS[adapter].learning_rate
    folds = make_folds(items, FOLDS, seed)
    if len(folds) < 2:
        return replace(training, learning_rate=rate, tune=False)
    encoded = {item.id: make_example(loaded, item, scoring) for item in items}
    best = (math.inf, rate, training.epochs)
    for factor in GRID:
        curve = _held_out_curve(
            loaded, adapter, folds, encoded, training, factor * rate, seed, silent_layer
        )
        for epoch, loss in enumerate(curve, start=1):
            best = min(best, (loss, factor * rate, epoch))
    _, learning_rate, epochs = best
    return replace(training, learning_rate=learning_rate, epochs=epochs, tune=False)


def make_folds(items: Sequence[Item], most: int, seed: int) -> list[list[Item]]:
    """At most `most` parts of near equal size, no group in two of them, drawn by hash."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}\n{group}".encode()).digest())
    folds: list[list[Item]] = [[] for _ in range(min(most, len(groups)))]
    for group in sorted(order, key=lambda group: -len(groups[group])):
        min(folds, key=len).extend(groups[group])
    return folds


def _held_out_curve(
    loaded: LoadedModel,
    adapter: str,
    folds: Sequence[Sequence[Item]],
    encoded: dict[str, Example],
    training: Training,
    learning_rate: float,
    seed: int,
    silent_layer: int | None,
) -> list[float]:
    """Mean held-out loss after each epoch, as far as every fold got."""
    curves: list[list[float]] = []
    for held in folds:
        away = {item.id for item in held}
        learn = [example for id_, example in encoded.items() if id_ not in away]
        judge = [encoded[item.id] for item in held]
        curve: list[float] = []
        with attached(loaded, adapter, training, seed=seed, silent_layer=silent_layer) as adapted:

            def judge_epoch(epoch: int, loss: float) -> None:
                curve.append(held_out_loss(adapted, judge))  # noqa: B023 - called in this turn

            train(adapted, learn, training, learning_rate, seed=seed, after_epoch=judge_epoch)
        curves.append(curve)
    weights = [len(held) for held in folds]
    return [
        sum(w * curve[at] for w, curve in zip(weights, curves, strict=True)) / sum(weights)
        for at in range(min(map(len, curves)))
    ]
