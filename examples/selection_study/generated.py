"""What knocking out a layer's attention does to answers as users get them, by generation.

    python examples/selection_study/generated.py examples/selection_study/generated.npz --out study

Reads what `sweep_generation.py` wrote; no forward pass. Probing sets of 20 items are drawn at
random, the product's default rule chooses (by the margin of the letters, by accuracy where the
answers are texts), and the other items confirm and judge as in `families.py`. Writes `generated.md`
and `generated.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from cuts import BASE, Cut
from families import LEAST_UNSEEN, RUNS, Answers, points, trials
from pages import named, with_error
from sweep_generation import Generated, load_generated

from talo_export.evidence.analyses.shots import HURTS
from talo_export.evidence.layer_tests import correct_over_layers

SHOTS = 20
LEGEND = """Made by `generated.py`; [the page](README.md) says how it was asked. *Same*: what the
same choice everywhere gets at best. *Base*: right answers, in brackets those of which anything
could be read. *Best layer*: the one that gains most on all items, which also chose it; * where p
< 0.05, corrected over all layers; in brackets what could be read with it. *Unseen*: mean gain in
points of what the default rule chooses from 20 items, on the others; then runs that lose more
than a point, runs in which the others confirm the choice, and the gain of the whole procedure, in
which half of the others confirm and half judge, with its runs that lose. The last two columns:
where accuracy chooses, as it does of texts anyway."""


@dataclass(frozen=True)
class Row:
    """One model's answers to one task in one way; points, percent."""

    model: str
    task: str
    way: str
    items: int
    constant: float
    base: float
    base_parsed: float
    layer: int
    best: float
    best_parsed: float
    p_gain: float
    """That no layer gains, corrected over all of them."""
    gain: float
    hurts: float
    confirmed: float
    whole: float
    whole_hurts: float
    accuracy_gain: float
    """Where accuracy chooses instead of the default rule, and below: runs confirmed then."""
    accuracy_confirmed: float


def row_of(model: str, task: str, way: str, answers: Generated, runs: int) -> Row:
    """Draw, choose, confirm and judge."""
    n_layers, n_items = len(answers.right) - 1, answers.right.shape[1]
    cuts = (BASE, *(Cut("attention", layer) for layer in range(n_layers)))
    margin = answers.margin.astype(np.float64) if answers.margin.size else None
    own = Answers(cuts, answers.right, margin, by_label=None, gold=answers.gold)
    tests = correct_over_layers(own.differences(), seed=0, permutations=2000).layers
    top = int(np.argmax([test.gain for test in tests]))
    seen = trials(own, "attention", SHOTS, runs)
    by_accuracy = (
        seen if margin is None else trials(replace(own, margin=None), "attention", SHOTS, runs)
    )
    return Row(
        model=model, task=task, way=way, items=n_items,
        constant=100 * float(np.bincount(answers.gold).max() / n_items),
        base=points(answers.right[0]), base_parsed=points(answers.parsed[0]),
        layer=top, best=100 * tests[top].gain, best_parsed=points(answers.parsed[1 + top]),
        p_gain=min(test.p_gain for test in tests),
        gain=points(seen.gain), hurts=points(seen.gain < HURTS), confirmed=points(seen.confirmed),
        whole=points(seen.whole), whole_hurts=points(seen.whole < HURTS),
        accuracy_gain=points(by_accuracy.gain),
        accuracy_confirmed=points(by_accuracy.confirmed),
    )  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Markdown: a task and way a row, and their means."""
    lines = [
        "| task | way | items | same | base | best layer "
        "| unseen | harms | confirmed | whole | harms | by accuracy: unseen | confirmed |",
        "|---|---|" + "---:|" * 11,
    ]
    for row in rows:
        star = "*" if row.p_gain < 0.05 else ""
        lines.append(
            f"| {row.task} | {row.way} | {row.items} | {row.constant:.0f} % "
            f"| {row.base:.0f} % ({row.base_parsed:.0f}) "
            f"| {row.layer}: {row.best:+.0f}{star} ({row.best_parsed:.0f}) | {row.gain:+.1f} "
            f"| {row.hurts:.0f} % | {row.confirmed:.1f} % | {row.whole:+.2f} "
            f"| {row.whole_hurts:.1f} % | {row.accuracy_gain:+.1f} "
            f"| {row.accuracy_confirmed:.1f} % |"
        )
    for way in dict.fromkeys(row.way for row in rows):
        own = [row for row in rows if row.way == way]
        means = {
            name: float(np.mean([getattr(row, name) for row in own]))
            for name in ("hurts", "confirmed", "whole", "whole_hurts", "accuracy_confirmed")
        }
        lines.append(
            f"| *mean of {len(own)}* | {way} | | | | | {with_error([row.gain for row in own])} "
            f"| {means['hurts']:.0f} % | {means['confirmed']:.1f} % | {means['whole']:+.2f} "
            f"| {means['whole_hurts']:.1f} % | {with_error([row.accuracy_gain for row in own])} "
            f"| {means['accuracy_confirmed']:.1f} % |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("answers", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        row_of(*key, answers, arguments.runs)
        for key, answers in load_generated(arguments.answers).items()
        if answers.right.shape[1] - SHOTS >= LEAST_UNSEEN
    ]
    parts = [LEGEND]
    for model in dict.fromkeys(row.model for row in rows):
        own = table([row for row in rows if row.model == model])
        parts.append(f"### {named(model)}, {SHOTS} shots\n\n{own}")
    (out / "generated.md").write_text("\n\n".join(parts) + "\n")
    (out / "generated.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
