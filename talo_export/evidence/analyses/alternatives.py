"""Other things to knock out, or to put in their place: fills, and modules.

`fills` compares zero, uniform and mean attention; `modules` compares attention, feed-forward block
and whole layer. Which one *finds more* is judged by the cross-validated gain of the selection:
the best gain of a sweep rewards whatever is noisiest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.evidence.cross_validation import cross_validate
from talo_export.evidence.differences import Differences, differences
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Alternative:
    """One fill or module over all tasks. Shares."""

    name: str
    mean_gain: float
    """Over all tasks and layers."""
    helps: float
    """Share of task-layer pairs with a positive gain."""
    best_gain: float
    """Mean over tasks of the best layer's gain: optimistic."""
    cross_validated_gain: float
    """Mean over tasks of what choosing a layer gains on items that did not choose it."""


@dataclass(frozen=True)
class Alternatives:
    """Alternatives on the same task-layer pairs."""

    kind: Literal["fill", "module"]
    tasks: tuple[str, ...]
    layers: tuple[int, ...]
    n: tuple[int, ...]
    alternatives: tuple[Alternative, ...]
    gains: Array
    """(K, T, L) shares."""
    correlation: Array
    """(K, K) over task-layer pairs."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the alternatives, in order."""
        return tuple(alternative.name for alternative in self.alternatives)

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        found = ", ".join(
            f"{one.name} {100 * one.cross_validated_gain:+.1f} points (best layer, optimistic: "
            f"{100 * one.best_gain:+.1f})"
            for one in sorted(self.alternatives, key=lambda one: -one.cross_validated_gain)
        )
        alike = ", ".join(f"{pair} {value:.2f}" for pair, value in self.correlations.items())
        return (
            f"Mean cross-validated gain of choosing a layer over {len(self.tasks)} "
            f"task{'' if len(self.tasks) == 1 else 's'}: {found}; correlation of the gains over "
            f"{len(self.tasks) * len(self.layers):,} task-layer pairs: {alike}."
        )

    @property
    def correlations(self) -> dict[str, float]:
        """Correlation of every two alternatives' gains, under `a-b`."""
        return {
            f"{self.names[a]}-{self.names[b]}": float(self.correlation[a, b])
            for a in range(len(self.names))
            for b in range(a + 1, len(self.names))
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sentence": self.sentence,
            "kind": self.kind,
            "tasks": list(self.tasks),
            "n": list(self.n),
            "layers": list(self.layers),
            "alternatives": [
                {
                    self.kind: one.name,
                    "mean_gain": one.mean_gain,
                    "helps": one.helps,
                    "best_gain": one.best_gain,
                    "cross_validated_gain": one.cross_validated_gain,
                }
                for one in self.alternatives
            ],
            "correlation": self.correlations,
        }


def compare_fills(
    tables: Mapping[str, ScoreTable],
    *,
    seed: int,
    scope: Scope = "attention",
    fills: Sequence[Fill] = ("zero", "uniform", "mean"),
) -> Alternatives:
    """What stands in the attention's place; every table must hold every fill."""
    return _compare("fill", tables, {fill: (scope, fill) for fill in fills}, seed)


def compare_modules(
    tables: Mapping[str, ScoreTable],
    *,
    seed: int,
    fill: Fill = "zero",
    scopes: Sequence[Scope] = ("attention", "mlp", "layer"),
) -> Alternatives:
    """What of the layer is knocked out; every table must hold every scope."""
    return _compare("module", tables, {scope: (scope, fill) for scope in scopes}, seed)


def _compare(
    kind: Literal["fill", "module"],
    tables: Mapping[str, ScoreTable],
    kinds: Mapping[str, tuple[Scope, Fill]],
    seed: int,
) -> Alternatives:
    if not tables:
        raise TaloError(f"There are no scores to compare by {kind}. Name at least one run.")
    if len(kinds) < 2:
        raise TaloError(f"Comparing by {kind} needs at least two of them.")
    sweeps = {
        name: [differences(table, scope=scope, fill=fill) for table in tables.values()]
        for name, (scope, fill) in kinds.items()
    }
    everywhere = [set(sweep.layers) for of_kind in sweeps.values() for sweep in of_kind]
    layers = sorted(set.intersection(*everywhere))
    if not layers:
        raise TaloError(f"No layer was measured with every {kind} on every task: sweep more.")
    gains = np.array([[_gains(sweep, layers) for sweep in sweeps[name]] for name in kinds])
    flat = gains.reshape(len(kinds), -1)
    return Alternatives(
        kind=kind,
        tasks=tuple(tables),
        layers=tuple(layers),
        n=tuple(sweep.n_items for sweep in next(iter(sweeps.values()))),
        alternatives=tuple(
            Alternative(
                name=name,
                mean_gain=float(gains[k].mean()),
                helps=float((gains[k] > 0).mean()),
                best_gain=float(np.maximum(gains[k].max(axis=1), 0).mean()),
                cross_validated_gain=float(
                    np.mean([_blind(sweep, seed) for sweep in sweeps[name]])
                ),
            )
            for k, name in enumerate(kinds)
        ),
        gains=gains,
        correlation=_correlation(flat),
    )


def _gains(sweep: Differences, layers: list[int]) -> Array:
    means = sweep.accuracy.mean(axis=0)
    return means[[sweep.layers.index(layer) for layer in layers]]


def _blind(sweep: Differences, seed: int) -> float:
    folds = min(5, sweep.n_groups)
    return cross_validate(sweep, folds=folds, seed=seed).gain if folds >= 2 else 0.0


def _correlation(flat: Array) -> Array:
    """Correlation of rows; 0 with a row that never varies."""
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(length > 1e-12, length, 1.0)[:, None]
    product: Array = unit @ unit.T
    np.fill_diagonal(product, 1.0)
    return product
