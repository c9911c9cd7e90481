"""Confirm a chosen knockout on items that took no part in choosing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from talo_export.codec import Field, Recorded
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.paired import (
    accuracy_clusters,
    gain_interval,
    right,
    seen_by_both,
    sign_flip_p_value,
)
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable

Verdict = Literal["confirmed", "unconfirmed", "harmful", "keep the base"]


@dataclass(frozen=True)
class Confirmation(Recorded):
    """What the unseen items say: the `confirm` object of `probe --json`.

    Shares in [0, 1] (gains in [-1, 1]); None where there was nothing to confirm.
    """

    n: int
    """Items answered by both the base and the knockout."""
    base_accuracy: float | None
    accuracy: float | None
    gain: float | None
    interval: Annotated[tuple[float, float] | None, Field(alias="ci95")]
    """Paired interval of the gain at `level`; see `paired.gain_interval`."""
    p_value: float | None
    """Exact, two-sided, paired; see `paired.sign_flip_p_value`."""
    verdict: Verdict
    level: float = 0.95
    n_groups: Annotated[int | None, Field(alias="groups")] = None
    """Independent groups among the items (those sharing an image are one)."""
    turned_right: int | None = None
    turned_wrong: int | None = None


def confirm(
    table: ScoreTable, knockout: Knockout | None, *, seed: int, level: float = 0.95
) -> Confirmation:
    """Judge a knockout on a table of confirmation items; `knockout=None` keeps the base.

    The verdict follows the interval alone: above 0 "confirmed", below 0 "harmful", else
    "unconfirmed". The caller answers for the items being unseen. Raises TaloError where base and
    knockout share no item, UsageError for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise UsageError(f"A confidence level lies between 0 and 1, not at {level}.")
    base = table.row(None)
    answers = right(table)
    if knockout is None:
        n = int(table.scored[base].sum())
        return Confirmation(
            n=n,
            n_groups=len({g for g, s in zip(table.groups, table.scored[base], strict=True) if s}),
            base_accuracy=float(answers[base].sum() / n) if n else None,
            accuracy=None,
            gain=None,
            interval=None,
            level=level,
            p_value=None,
            turned_right=0,
            turned_wrong=0,
            verdict="keep the base",
        )
    if knockout not in table.variants:
        raise TaloError(
            f"The confirmation items were never scored with layer {knockout.layer} knocked out "
            f"({knockout.scope}, {knockout.fill}). Score them first."
        )
    both = seen_by_both(table, knockout)
    clusters = accuracy_clusters(table, knockout)
    before, after = answers[base][both], answers[table.row(knockout)][both]
    interval = gain_interval(clusters, seed=seed, level=level)
    return Confirmation(
        n=len(before),
        n_groups=len(clusters),
        base_accuracy=float(before.mean()),
        accuracy=float(after.mean()),
        gain=clusters.mean,
        interval=interval,
        level=level,
        p_value=sign_flip_p_value(clusters),
        turned_right=int((after & ~before).sum()),
        turned_wrong=int((before & ~after).sum()),
        verdict=verdict_of(interval),
    )


def verdict_of(interval: tuple[float, float]) -> Verdict:
    """What an interval of a gain says."""
    low, high = interval
    if low > 0:
        return "confirmed"
    return "harmful" if high < 0 else "unconfirmed"
