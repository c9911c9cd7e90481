"""What a knockout chosen for one task does to all the others at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.stats import norm

from talo_export.codec import Field, Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.discoveries import discover
from talo_export.evidence.paired import accuracy_clusters
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True)
class SideEffects(Recorded):
    """Gains are shares. `macro` weighs every task the same, `micro` every item."""

    layer: int
    own_task: str | None
    macro_base: Annotated[float, Field(alias="macro_base_accuracy")]
    macro_gain: float
    macro_interval: Annotated[tuple[float, float], Field(alias="macro_ci95")]
    """95 %, these tasks taken as given (their items vary)."""
    micro_gain: float
    better: tuple[str, ...]
    """Tasks that gain at a false discovery rate of 5 %."""
    worse: tuple[str, ...]
    """Tasks that lose at a false discovery rate of 5 %."""
    tasks: dict[str, Confirmation]
    """The other tasks, best gain first."""

    @derived
    def sentence(self) -> str:
        """One sentence for report and card."""
        low, high = (100 * bound for bound in self.macro_interval)
        worst = min(self.tasks, key=lambda task: self.tasks[task].gain or 0.0)
        loss = 100 * (self.tasks[worst].gain or 0.0)
        return (
            f"On {len(self.tasks)} other task{'' if len(self.tasks) == 1 else 's'} the knockout "
            f"changes accuracy by {100 * self.macro_gain:+.1f} points on average "
            f"(95 % interval {low:+.1f} to {high:+.1f}): {len(self.better)} better, "
            f"{len(self.worse)} worse beyond chance; the lowest is {worst} ({loss:+.1f})."
        )


def side_effects(
    knockout: Knockout, tables: Mapping[str, ScoreTable], *, seed: int, own_task: str | None = None
) -> SideEffects:
    """Judge a knockout on all tasks but its own that were scored with it.

    Raises TaloError where no other task was.
    """
    others = {
        name: table
        for name, table in tables.items()
        if name != own_task and knockout in table.variants
    }
    if not others:
        raise TaloError(
            f"No other task was scored with layer {knockout.layer} knocked out. "
            "Probe more tasks on the same model, then ask again."
        )
    found = {name: confirm(table, knockout, seed=seed) for name, table in others.items()}
    found = dict(sorted(found.items(), key=lambda pair: (-(pair[1].gain or 0.0), pair[0])))
    gains = np.array([c.gain for c in found.values()], dtype=np.float64)
    sizes = np.array([c.n for c in found.values()], dtype=np.float64)
    error = np.sqrt(sum(_variance(table, knockout) for table in others.values())) / len(others)
    reach = float(norm.ppf(0.975)) * float(error)
    macro = float(gains.mean())
    corrected = discover(found, knockout.layer)
    return SideEffects(
        layer=knockout.layer,
        own_task=own_task,
        macro_base=float(np.mean([c.base_accuracy for c in found.values()])),
        macro_gain=macro,
        macro_interval=(max(-1.0, macro - reach), min(1.0, macro + reach)),
        micro_gain=float((gains * sizes).sum() / sizes.sum()),
        better=tuple(d.task for d in corrected.tasks if d.discovered),
        worse=tuple(d.task for d in corrected.tasks if d.q_value <= corrected.rate and d.gain < 0),
        tasks=found,
    )


def _variance(table: ScoreTable, knockout: Knockout) -> float:
    """Squared standard error of a task's gain, with one group added each way (see `paired`)."""
    clusters = accuracy_clusters(table, knockout)
    typical = clusters.sizes.mean()
    sums = np.concatenate([clusters.sums, [typical, -typical]])
    sizes = np.concatenate([clusters.sizes, [typical, typical]])
    residuals = sums - sizes * sums.sum() / sizes.sum()
    return float((residuals**2).sum() / sizes.sum() ** 2)
