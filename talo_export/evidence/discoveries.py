"""Many tasks tested: which gains remain when one task in twenty is "significant" by chance?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.confirmation import Confirmation


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
class Discoveries:
    """All tasks with a knockout to confirm, best first; `kept` names those that keep the base."""

    rate: float
    tasks: tuple[Discovery, ...]
    kept: tuple[str, ...]

    @property
    def discovered(self) -> int:
        """Number of tasks with a gain at this false discovery rate."""
        return sum(task.discovered for task in self.tasks)

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        total = len(self.tasks) + len(self.kept)
        return (
            f"In {self.discovered} of {total} tasks a layer's knockout helps on unseen items at a "
            f"false discovery rate of {self.rate:.0%} ({len(self.kept)} tasks keep the base)."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "rate": self.rate,
            "discovered": self.discovered,
            "tasks": [asdict(task) for task in self.tasks],
            "kept": list(self.kept),
        }


def discover(confirmations: Mapping[str, Confirmation], *, rate: float = 0.05) -> Discoveries:
    """Benjamini-Hochberg over the confirmations of several tasks, by their two-sided p-values.

    Confirmations on unseen items of different tasks are independent of how their layers were
    chosen, so nothing else needs correcting. Losses take part, but are no discoveries.
    """
    if not 0 < rate < 1:
        raise UsageError(f"A false discovery rate lies between 0 and 1, not at {rate}.")
    if not confirmations:
        raise TaloError("There are no confirmations to correct. Name at least one finished run.")
    tested = {name: c for name, c in confirmations.items() if c.p_value is not None}
    p_values = np.array([c.p_value for c in tested.values()], dtype=np.float64)
    q_values = false_discovery_control(p_values, method="bh") if len(p_values) else p_values
    found = []
    for (name, confirmation), q in zip(tested.items(), q_values.tolist(), strict=True):
        assert confirmation.knockout is not None
        assert confirmation.gain is not None
        assert confirmation.p_value is not None
        found.append(
            Discovery(
                task=name,
                layer=confirmation.knockout.layer,
                n=confirmation.n,
                gain=confirmation.gain,
                p_value=confirmation.p_value,
                q_value=q,
                discovered=q <= rate and confirmation.gain > 0,
            )
        )
    return Discoveries(
        rate=rate,
        tasks=tuple(sorted(found, key=lambda d: (d.q_value, -d.gain, d.task))),
        kept=tuple(sorted(set(confirmations) - set(tested))),
    )
