"""Zero, uniform or mean attention in the layer's place: which finds more?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from talo_export.evidence.alternatives import analyse_by
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Fill, Scope

FILLS: Mapping[str, tuple[Scope, Fill]] = {fill: ("attention", fill) for fill in get_args(Fill)}


def analyse(runs: Runs) -> Analysed:
    """Of one run or many."""
    return analyse_by("fill", FILLS, runs, "Zero against uniform against mean")
