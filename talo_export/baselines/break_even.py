"""From how many shots on a trained method overtakes the knockout, and how sure that is.

The difference in accuracy between the two is taken at each number of shots, on the same test
items; between two numbers of shots it is drawn as a line over the logarithm of the shots. The
break-even point is where this line first reaches 0 from below. Seeds and groups of items are
resampled together for every number of shots, and each resample has its own break-even point:
their spread is the uncertainty, and points before the first or beyond the last number of shots are
counted as that, not extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from talo_export.baselines.request import CellRequest, CellResult
from talo_export.codec import Field, Recorded, derived
from talo_export.tasks.item import Task
from talo_export.wording import percent

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class BreakEven(Recorded):
    """Where `method` overtakes `rival`. A bound of None lies beyond the last number of shots, one
    equal to the first number of shots lies at it or before."""

    method: str
    rival: str
    estimate: Annotated[float | None, Field(alias="shots")]
    ci95: tuple[float | None, float | None]
    """95 %, over resamples."""
    shots: Annotated[tuple[int, ...], Field(alias="compared")]
    """The numbers of shots compared, ascending."""
    ahead_at_first: float
    """Share of resamples in which it is ahead, or level, at the first number of shots already."""
    never: float
    """Share of resamples in which it stays behind up to the last."""

    @derived
    def sentence(self) -> str:
        """One sentence for a person."""
        first, last = self.shots[0], self.shots[-1]
        if self.estimate is None:
            where = f"{self.method} does not reach {self.rival} within {last} shots"
        elif self.estimate <= first:
            where = f"{self.method} is level with {self.rival} or ahead from {first} shots on"
        else:
            where = f"{self.method} overtakes {self.rival} at about {self.estimate:.0f} shots"
        sure = max(self.ahead_at_first, self.never)
        if sure > 0.975:
            often = "every resample" if sure == 1.0 else f"{percent(sure)} of resamples"
            return f"{where}, in {often}."
        low, high = map(self._bound, self.ci95)
        return (
            f"{where} (95 % between {low} and {high}; "
            f"ahead at {first} in {percent(self.ahead_at_first, 0)}, never up to {last} in "
            f"{percent(self.never, 0)} of resamples)."
        )

    def _bound(self, bound: float | None) -> str:
        if bound is None:
            return f"beyond {self.shots[-1]}"
        return f"{self.shots[0]} or fewer" if bound <= self.shots[0] else f"{bound:.0f}"


def break_even(
    task: Task,
    requests: Sequence[CellRequest],
    results: Mapping[str, CellResult],
    *,
    method: str,
    rival: str = "knockout",
    seed: int = 0,
) -> BreakEven | None:
    """Where `method` overtakes `rival`; None where fewer than two numbers of shots have both."""
    cells = {(r.method, r.shots, r.seed): results[r.name].correct for r in requests}
    shots = sorted({r.shots for r in requests if r.method == method})
    seeds = sorted({r.seed for r in requests})

    def both(n: int, s: int) -> bool:
        return bool(cells.get((method, n, s))) and bool(cells.get((rival, n, s)))

    # A seed counts only where it has every number of shots: otherwise a curve would mix seeds.
    complete = [n for n in shots if any(both(n, s) for s in seeds)]
    whole = [s for s in seeds if all(both(n, s) for n in complete)]
    if len(complete) < 2 or not whole:
        return None
    groups = sorted({item.group for item in task.items})
    place = {item.id: groups.index(item.group) for item in task.items}
    sums = np.zeros((len(complete), len(whole), len(groups)))
    sizes = np.zeros((len(whole), len(groups)))
    for j, s in enumerate(whole):
        for id_ in cells[(method, complete[0], s)]:
            sizes[j, place[id_]] += 1
        for i, n in enumerate(complete):
            ours, theirs = cells[(method, n, s)], cells[(rival, n, s)]
            for id_, right in ours.items():
                sums[i, j, place[id_]] += int(right) - int(theirs[id_])
    points = _resampled(sums, sizes, complete, seed)
    estimate = crossing(sums.sum(axis=2).sum(axis=1) / sizes.sum(), complete)
    low, high = (float(np.quantile(points, q, method="nearest")) for q in (0.025, 0.975))
    return BreakEven(
        method=method,
        rival=rival,
        estimate=_finite(estimate),
        ci95=(_finite(low), _finite(high)),
        shots=tuple(complete),
        ahead_at_first=float((points <= complete[0]).mean()),
        never=float(np.isinf(points).mean()),
    )


def crossing(differences: NDArray[np.float64], shots: Sequence[int]) -> float:
    """Where the line through (log shots, difference) first reaches 0; inf where it never does."""
    if differences[0] >= 0:
        return float(shots[0])
    for i in range(1, len(shots)):
        if differences[i] >= 0:
            share = -differences[i - 1] / (differences[i] - differences[i - 1])
            left, right = math.log(shots[i - 1]), math.log(shots[i])
            return math.exp(left + share * (right - left))
    return math.inf


def _resampled(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], shots: Sequence[int], seed: int
) -> NDArray[np.float64]:
    """(RESAMPLES,) break-even points, seeds and groups drawn with replacement."""
    generator = np.random.default_rng(seed)
    n_seeds, n_groups = sizes.shape
    points = np.empty(RESAMPLES)
    for at in range(RESAMPLES):
        seeds = np.bincount(generator.integers(n_seeds, size=n_seeds), minlength=n_seeds)
        groups = np.bincount(generator.integers(n_groups, size=n_groups), minlength=n_groups)
        weight = seeds[:, None] * groups[None, :]
        total = (weight * sizes).sum()
        # A resample that draws no test item at all says nothing: it is on neither side.
        differences = (weight * sums).sum(axis=(1, 2)) / max(total, 1.0)
        points[at] = crossing(differences, shots)
    return points


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
