"""Would other probing items have chosen the same layer?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import UsageError
from talo_export.evidence.criteria import CRITERIA, choose
from talo_export.evidence.differences import Differences, moments_of_subsets, random_subsets
from talo_export.knockout import Knockout
from talo_export.wording import percent


@dataclass(frozen=True)
class ShotsAgreement:
    """Choices of random probing sets of one size."""

    shots: int
    agreement: float
    """Probability that two random probing sets choose the same layer (or both keep the base)."""
    favourite: int | None
    """Layer chosen most often; None where that is to keep the base."""
    favourite_share: float
    kept_base: float


@dataclass(frozen=True)
class Stability:
    """How often each layer is chosen when the probing items are resampled."""

    n: int
    criterion: str
    runs: int
    knockout: Knockout | None
    """The choice on the items as they are."""
    layers: tuple[int, ...]
    shares: tuple[float, ...]
    """Of the bootstrap resamples, by layer."""
    kept_base: float
    by_shots: tuple[ShotsAgreement, ...]

    @property
    def same(self) -> float:
        """Share of the resamples that choose what the items as they are choose."""
        if self.knockout is None:
            return self.kept_base
        return self.shares[self.layers.index(self.knockout.layer)]

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        choice = "keep the base" if self.knockout is None else f"choose layer {self.knockout.layer}"
        return (
            f"{percent(self.same, 0)} of {self.runs:,} resamples of the {self.n} probing items "
            f"{choice}, as the items themselves do (by {self.criterion})."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sentence": self.sentence,
            "n": self.n,
            "criterion": self.criterion,
            "runs": self.runs,
            "layer": None if self.knockout is None else self.knockout.layer,
            "same": self.same,
            "shares": {
                str(layer): share for layer, share in zip(self.layers, self.shares, strict=True)
            },
            "kept_base": self.kept_base,
            "by_shots": [asdict(point) for point in self.by_shots],
        }


def stability(
    sweep: Differences,
    *,
    criterion: str = "accuracy",
    shots: Sequence[int] = (5, 10, 15, 20, 50, 100),
    runs: int = 1000,
    seed: int,
    min_gain: float | None = None,
) -> Stability:
    """Bootstrap the probing set (groups with replacement), and draw smaller ones from it."""
    if criterion not in CRITERIA:
        raise UsageError(
            f"Unknown selection criterion {criterion!r}. Choose one of: {', '.join(CRITERIA)}."
        )
    rule, allowed = CRITERIA[criterion], np.ones(len(sweep.layers), dtype=bool)
    rng = np.random.default_rng(seed)

    def choices(weights: NDArray[np.float64]) -> NDArray[np.int64]:
        return choose(rule, moments_of_subsets(sweep, weights), allowed, min_gain)

    whole = int(choices(np.ones((1, sweep.n_items)))[0])
    groups = sweep.n_groups
    drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=runs)
    counts = _counts(choices(drawn[:, sweep.members].astype(np.float64)), len(sweep.layers))
    points = []
    for size in shots:
        if size >= sweep.n_items:
            continue
        votes = _counts(choices(random_subsets(sweep.members, size, runs, rng)), len(sweep.layers))
        most = int(votes.argmax())
        points.append(
            ShotsAgreement(
                shots=size,
                agreement=float((votes * (votes - 1)).sum() / (runs * (runs - 1))),
                favourite=None if most == 0 else sweep.layers[most - 1],
                favourite_share=float(votes[most] / runs),
                kept_base=float(votes[0] / runs),
            )
        )
    return Stability(
        n=sweep.n_items,
        criterion=criterion,
        runs=runs,
        knockout=sweep.knockouts[whole] if whole >= 0 else None,
        layers=sweep.layers,
        shares=tuple((counts[1:] / runs).tolist()),
        kept_base=float(counts[0] / runs),
        by_shots=tuple(points),
    )


def _counts(chosen: NDArray[np.int64], layers: int) -> NDArray[np.int64]:
    """(L+1,) votes, those for the base first."""
    return np.bincount(chosen + 1, minlength=layers + 1).astype(np.int64)
