"""Sweeps of many tasks in one small file: numbers only, no text of any task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cuts import FAMILIES, Cut
from numpy.typing import NDArray

from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True, eq=False)
class Scores:
    """What one model answered to one task's items, in their hash order."""

    cuts: tuple[Cut, ...]
    """The base is the first."""
    shares: NDArray[np.float32]
    """(cuts, items, choices) log of each choice's share, nats; NaN for none, or not scored."""
    gold: NDArray[np.int16]
    labels: NDArray[np.int16]
    """(items, choices) a number for each text of a choice, the same for the same text; -1: none."""


def labelled(choices: Sequence[Sequence[str]]) -> NDArray[np.int16]:
    """(items, choices) numbers in place of the choices' texts."""
    numbers: dict[str, int] = {}
    width = max(map(len, choices))
    rows = [[numbers.setdefault(text, len(numbers)) for text in row] for row in choices]
    return np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int16)


def save_scores(path: Path, tables: Mapping[tuple[str, str], Scores]) -> None:
    """Write sweeps, by model and task, to a compressed .npz."""
    arrays = {}
    for (model, task), table in tables.items():
        arrays[f"{model}/{task}/cuts"] = np.array([c.row for c in table.cuts], dtype=np.int16)
        arrays[f"{model}/{task}/shares"] = table.shares
        arrays[f"{model}/{task}/gold"] = table.gold
        arrays[f"{model}/{task}/labels"] = table.labels
    np.savez_compressed(path, **arrays)


def load_scores(path: Path) -> dict[tuple[str, str], Scores]:
    """The sweeps of a file, by model and task."""
    tables = {}
    with np.load(path) as arrays:
        for name in sorted({key.rsplit("/", 1)[0] for key in arrays.files}):
            rows = arrays[f"{name}/cuts"].tolist()
            cuts = tuple(Cut(FAMILIES[family], layer, second) for family, layer, second in rows)
            parts = (arrays[f"{name}/{part}"] for part in ("shares", "gold", "labels"))
            model, task = name.split("/")
            tables[model, task] = Scores(cuts, *parts)
    return tables


def attention_tables(path: Path) -> tuple[dict[str, ScoreTable], set[str]]:
    """One model's layers of attention by task, and the tasks whose choices are always the same."""
    tables = load_scores(path)
    if len({model for model, _ in tables}) != 1:
        raise SystemExit(f"{path} holds sweeps of several models: families.py reads those")
    same = {task for (_, task), own in tables.items() if (own.labels == own.labels[0]).all()}
    return {task: as_table(task, own) for (_, task), own in tables.items()}, same


def as_table(task: str, scores: Scores) -> ScoreTable:
    """The base and the layers' attention as the product's own table."""
    rows = [at for at, cut in enumerate(scores.cuts) if cut.family in ("base", "attention")]
    cuts = [scores.cuts[row] for row in rows]
    shares = scores.shares[rows].astype(np.float64)
    n_choices = (scores.labels >= 0).sum(axis=1).astype(np.int16)
    finite = np.isfinite(shares).sum(axis=2) == n_choices
    choice = np.where(np.isfinite(shares), shares, -np.inf).argmax(axis=2)
    # An item of another task is another item: a transfer leaves out the items of the choice.
    names = tuple(f"{task}-{number}" for number in range(len(scores.gold)))
    return ScoreTable(
        variants=tuple(None if c.family == "base" else Knockout(c.layer) for c in cuts),
        item_ids=names,
        groups=names,
        gold=scores.gold,
        n_choices=n_choices,
        scored=np.ones(choice.shape, dtype=bool),
        correct=(choice == scores.gold) & finite,
        parsed=finite,
        finite=finite,
        choice=np.where(finite, choice, -1).astype(np.int16),
        scores=shares,
        answers=tuple(tuple(str(c) for c in row) for row in choice),
    )
