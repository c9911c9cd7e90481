"""Many tasks tested: which gains remain when one task in twenty is "significant" by chance?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.confirmation import Confirmation
from talo_export.wording import percent


@dataclass(frozen=True)
class Discovery:
    """One task's confirmation among many."""

    task: str
    layer: int
    n: int
    gain: float
    p_value: float
    q_value: float
    """Smallest false discovery rate at which this gain counts (Benjamini-Hochberg)."""
    discovered: bool
    """A gain, and its q-value at most the stated rate."""


@dataclass(frozen=True)
class Discoveries(Recorded):
    """All tasks with a knockout to confirm, best first; `kept` names those that keep the base."""

    rate: float
    tasks: tuple[Discovery, ...]
    kept: tuple[str, ...]
    swept: bool = False
    """Whether the p-values are those of the best layer on the items that were swept, corrected
    over the layers, and not of confirmations on unseen items."""

    @derived
    def discovered(self) -> int:
        """Number of tasks with a gain at this false discovery rate."""
        return sum(task.discovered for task in self.tasks)

    @derived
    def sentence(self) -> str:
        """One sentence for a person."""
        total = len(self.tasks) + len(self.kept)
        if self.swept:
            return (
                f"In {self.discovered} of {total} tasks some layer's knockout helps on the items "
                f"that were swept, at a false discovery rate of {percent(self.rate, 0)} "
                "(p-values corrected over the layers)."
            )
        return (
            f"In {self.discovered} of {total} tasks a layer's knockout helps on unseen items at a "
            f"false discovery rate of {percent(self.rate, 0)} "
            f"({len(self.kept)} tasks keep the base)."
        )


Tested = tuple[int, int, float, float]
"""Layer, unseen items, gain, p-value of one task's confirmation."""


def discover(confirmations: Mapping[str, Confirmation], *, rate: float = 0.05) -> Discoveries:
    """`discover_from` of confirmations as they are at hand."""
    tested: dict[str, Tested | None] = {}
    for name, judged in confirmations.items():
        if judged.knockout is None or judged.gain is None or judged.p_value is None:
            tested[name] = None
        else:
            tested[name] = (judged.knockout.layer, judged.n, judged.gain, judged.p_value)
    return discover_from(tested, rate=rate)


def discover_from(
    tested: Mapping[str, Tested | None], *, rate: float = 0.05, swept: bool = False
) -> Discoveries:
    """Benjamini-Hochberg over the confirmations of several tasks, by their two-sided p-values.

    None stands for a task that keeps the base. Confirmations on unseen items of different tasks
    are independent of how their layers were chosen, so nothing else needs correcting. Losses take
    part, but are no discoveries. `swept`: the p-values are those of each full sweep's best layer,
    corrected over its layers, so that each is one of "no layer helps on this task".
    """
    from scipy.stats import false_discovery_control

    if not 0 < rate < 1:
        raise UsageError(f"A false discovery rate lies between 0 and 1, not at {rate}.")
    if not tested:
        raise TaloError("There are no confirmations to correct. Name at least one finished run.")
    known = {name: test for name, test in tested.items() if test is not None}
    p_values = np.array([p for *_, p in known.values()], dtype=np.float64)
    q_values = false_discovery_control(p_values, method="bh") if len(p_values) else p_values
    tasks = [
        Discovery(name, layer, n, gain, p, q, discovered=q <= rate and gain > 0)
        for q, (name, (layer, n, gain, p)) in zip(q_values.tolist(), known.items(), strict=True)
    ]
    return Discoveries(
        rate=rate,
        tasks=tuple(sorted(tasks, key=lambda d: (d.q_value, -d.gain, d.task))),
        kept=tuple(sorted(set(tested) - set(known))),
        swept=swept,
    )
