"""Attention, feed-forward block or whole layer knocked out: which finds more?"""

from __future__ import annotations

from collections.abc import Mapping

from talo_export.evidence.alternatives import analyse_by
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Fill, Scope

MODULES: Mapping[str, tuple[Scope, Fill]] = {
    "attention": ("attention", "zero"),
    "mlp": ("mlp", "zero"),
    "layer": ("layer", "zero"),
}


def analyse(runs: Runs) -> Analysed:
    """Of one run or many."""
    title = "Attention against feed-forward against the whole layer"
    return analyse_by("module", MODULES, runs, title)
