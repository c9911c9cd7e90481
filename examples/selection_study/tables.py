"""Score tables of many tasks in one small file: numbers only, no text of any task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cuts import FAMILIES, Cut
from numpy.typing import NDArray

from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


def save_tables(path: Path, tables: dict[str, ScoreTable]) -> None:
    """Write what the study needs of each table (attention, zero) to a compressed .npz."""
    arrays = {}
    for name, table in tables.items():
        assert table.scores is not None
        arrays[f"{name}/layers"] = np.array([-1 if v is None else v.layer for v in table.variants])
        # Half precision would move close choices; single keeps every argmax.
        arrays[f"{name}/scores"] = table.scores.astype(np.float32)
        arrays[f"{name}/gold"] = table.gold
        arrays[f"{name}/n_choices"] = table.n_choices
        arrays[f"{name}/same_choices"] = np.array(_same_choices(table))
    np.savez_compressed(path, **arrays)


def load_tables(path: Path) -> tuple[dict[str, ScoreTable], set[str]]:
    """The tables by task, and the tasks whose choices are the same for every item."""
    tables, same = {}, set()
    with np.load(path) as arrays:
        for name in sorted({key.rsplit("/", 1)[0] for key in arrays.files}):
            layers, scores = arrays[f"{name}/layers"], arrays[f"{name}/scores"].astype(np.float64)
            gold, n_choices = arrays[f"{name}/gold"], arrays[f"{name}/n_choices"]
            finite = (np.isfinite(scores).sum(axis=2) == n_choices) & (n_choices > 0)
            choice = np.where(np.isfinite(scores), scores, -np.inf).argmax(axis=2)
            variants = tuple(None if layer < 0 else Knockout(int(layer)) for layer in layers)
            n = len(gold)
            tables[name] = ScoreTable(
                variants=variants,
                item_ids=tuple(f"{name}-{i}" for i in range(n)),
                groups=tuple(f"{name}-{i}" for i in range(n)),
                gold=gold,
                n_choices=n_choices,
                scored=np.ones(choice.shape, dtype=bool),
                correct=(choice == gold) & finite,
                parsed=finite,
                finite=finite,
                choice=np.where(finite, choice, -1).astype(np.int16),
                scores=scores,
                answers=tuple(tuple(str(c) for c in row) for row in choice),
            )
            if bool(arrays[f"{name}/same_choices"]):
                same.add(name)
    return tables, same


def _same_choices(table: ScoreTable) -> bool:
    """Whether each choice number always stood for the same text."""
    texts: dict[int, set[str]] = {}
    for row, answers in enumerate(table.answers):
        for column, text in enumerate(answers):
            if text is not None and table.choice[row, column] >= 0:
                texts.setdefault(int(table.choice[row, column]), set()).add(text)
    return bool(texts) and all(len(said) == 1 for said in texts.values())


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
    """Write sweeps to a compressed .npz."""
    arrays = {}
    for (model, task), table in tables.items():
        arrays[f"{model}/{task}/cuts"] = np.array([c.row for c in table.cuts], dtype=np.int16)
        # Steps of 1/1024 nat: the bits below are noise, and only cost room.
        arrays[f"{model}/{task}/shares"] = np.rint(table.shares * 1024) / np.float32(1024)
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
