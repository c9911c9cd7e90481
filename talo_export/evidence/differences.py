"""A sweep as differences to the base: one number an item and layer, for each measure.

This is the form in which many probing sets are resampled from one sweep: sums over subsets of
items are matrix products, so ten thousand simulated selections take seconds and no forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.evidence.criteria import Array, Criterion, LayerMoments, Moment, choose
from talo_export.evidence.paired import knockouts_of, right
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.probing.scores import ScoreTable


@dataclass(frozen=True)
class Differences:
    """Knockout minus base of every complete, finite layer of one sweep; arrays are (N, L)."""

    knockouts: tuple[Knockout, ...]
    members: NDArray[np.int64]
    """(N,) number of each item's group, 0 to G-1."""
    base: NDArray[np.bool_]
    """(N,) whether the base was right."""
    accuracy: Array
    probability: Array | None
    margin: Array | None

    @property
    def n_items(self) -> int:
        """N."""
        return len(self.members)

    @property
    def n_groups(self) -> int:
        """G: what is resampled or sign-flipped."""
        return int(self.members.max()) + 1

    @property
    def layers(self) -> tuple[int, ...]:
        """Layer number of each column."""
        return tuple(knockout.layer for knockout in self.knockouts)

    def by_group(self, values: Array) -> Array:
        """Sum (N, ...) values over the items of each group: (G, ...)."""
        sums = np.zeros((self.n_groups, *values.shape[1:]))
        np.add.at(sums, self.members, values)
        return sums


def differences(
    table: ScoreTable, *, scope: Scope = "attention", fill: Fill = "zero"
) -> Differences:
    """The differences of one scope and fill on the items the base answered.

    Layers that did not see every item or whose logits were not finite have no place in a resampling
    and are left out. Raises TaloError where no layer or no item remains.
    """
    base = table.row(None)
    columns = np.flatnonzero(table.scored[base] & table.finite[base])
    known = (table.scored & table.finite)[:, columns]
    knockouts = [k for k in knockouts_of(table, scope, fill) if known[table.row(k)].all()]
    rows = [table.row(knockout) for knockout in knockouts]
    if not len(columns) or not rows:
        raise TaloError(
            f"No layer with scope {scope!r} and fill {fill!r} was scored on every item. "
            "Sweep all layers on all items first (--shots all)."
        )
    answers = right(table)[:, columns].astype(np.float64)

    def change(values: Array | None) -> Array | None:
        if values is None:
            return None
        with np.errstate(invalid="ignore"):
            return np.nan_to_num((values[rows] - values[base])[:, columns].T)

    accuracy = answers[rows] - answers[base]
    _, members = np.unique([table.groups[column] for column in columns], return_inverse=True)
    return Differences(
        knockouts=tuple(knockouts),
        members=members.ravel().astype(np.int64),
        base=answers[base].astype(bool),
        accuracy=accuracy.T,
        probability=change(table.probability),
        margin=change(table.margin),
    )


def moments_of_subsets(sweep: Differences, weights: Array) -> LayerMoments:
    """Paired moments of many probing sets at once: (R, N) weights (0/1 or counts) -> (R, L)."""
    n = weights.sum(axis=1, keepdims=True)

    def moment(values: Array) -> Moment:
        mean = weights @ values / n
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.maximum(weights @ values**2 - n * mean**2, 0.0) / (n - 1)
            # What cancels to rounding noise is an exact zero: every difference was the same.
            variance = np.where(variance < 1e-12, 0.0, variance)
            return Moment(mean=mean, error=np.sqrt(variance / n))

    scored = (None if v is None else moment(v) for v in (sweep.probability, sweep.margin))
    return LayerMoments(moment(sweep.accuracy), *scored)


def choices(
    sweep: Differences, weights: Array, criterion: Criterion, min_gain: float | None = None
) -> NDArray[np.int64]:
    """(R,) the column that each of many probing sets chooses, -1 where it keeps the base."""
    return choose(criterion, moments_of_subsets(sweep, weights), min_gain=min_gain)


def choice_of_all(sweep: Differences, criterion: Criterion, min_gain: float | None = None) -> int:
    """The column that all items choose, -1 where they keep the base."""
    return int(choices(sweep, np.ones((1, sweep.n_items)), criterion, min_gain)[0])


def bootstrap(sweep: Differences, runs: int, rng: np.random.Generator) -> Array:
    """(R, N) how often each item is in a resample of the groups, drawn with replacement."""
    shares = np.full(sweep.n_groups, 1 / sweep.n_groups)
    drawn = rng.multinomial(sweep.n_groups, shares, size=runs)
    return drawn[:, sweep.members].astype(np.float64)


def random_subsets(
    members: NDArray[np.int64], size: int, runs: int, rng: np.random.Generator
) -> Array:
    """(R, N) 0/1: random probing sets of `size` items made of whole groups (the last one is
    taken whole where it fits at least half)."""
    groups = int(members.max()) + 1
    sizes = np.bincount(members, minlength=groups)
    order = np.argsort(rng.random((runs, groups)), axis=1)
    before = np.cumsum(sizes[order], axis=1) - sizes[order]
    taken = before + sizes[order] / 2 <= size
    taken[:, 0] = True
    chosen = np.zeros((runs, groups))
    np.put_along_axis(chosen, order, taken.astype(np.float64), axis=1)
    return chosen[:, members]
