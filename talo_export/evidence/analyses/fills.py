"""Zero, uniform or mean attention in the layer's place: which finds more?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from talo_export.evidence.alternatives import Alternatives, compare, draw_alternatives
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable

FILLS: tuple[Fill, ...] = ("zero", "uniform", "mean")


def compare_fills(
    tables: Mapping[str, ScoreTable],
    *,
    seed: int,
    scope: Scope = "attention",
    fills: Sequence[Fill] = FILLS,
) -> Alternatives:
    """What stands in the attention's place; every table must hold every fill."""
    return compare("fill", tables, {fill: (scope, fill) for fill in fills}, seed)


def analyse(runs: Runs) -> Analysed:
    """Of one run or many."""
    tables = runs.more.probed_with([("attention", fill) for fill in FILLS])
    result = compare_fills(tables, seed=runs.seed)
    return Analysed(
        result, partial(draw_alternatives, result, title="Zero against uniform against mean")
    )
