"""Attention, feed-forward block or whole layer knocked out: which finds more?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from talo_export.evidence.alternatives import Alternatives, compare, draw_alternatives
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable

SCOPES: tuple[Scope, ...] = ("attention", "mlp", "layer")


def compare_modules(
    tables: Mapping[str, ScoreTable],
    *,
    seed: int,
    fill: Fill = "zero",
    scopes: Sequence[Scope] = SCOPES,
) -> Alternatives:
    """What of the layer is knocked out; every table must hold every scope."""
    return compare("module", tables, {scope: (scope, fill) for scope in scopes}, seed)


def analyse(runs: Runs) -> Analysed:
    """Of one run or many."""
    tables = runs.more.probed_with([(scope, "zero") for scope in SCOPES])
    result = compare_modules(tables, seed=runs.seed)
    title = "Attention against feed-forward against the whole layer"
    return Analysed(result, partial(draw_alternatives, result, title=title))
