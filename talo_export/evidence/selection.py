"""Choose the layer to knock out from a probing table, or keep the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Field, Recorded
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.criteria import (
    CRITERIA,
    DEFAULT_CRITERION,
    WITH_SCORES,
    Criterion,
    LayerMoments,
    Moment,
    choose,
    criterion_of,
)
from talo_export.evidence.paired import knockouts_of, right
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.probing.scores import ScoreTable
from talo_export.wording import points

ByLayer: TypeAlias = tuple["float | None", ...]
"""One number a decoder layer, in layer order; None for a layer that was not measured."""

UNREAD = "Nothing could be read in {unparsed} of {n} answers of "
MORE_ROOM = (
    ": give the model more room with --max-new-tokens, or compare the choices with "
    "--scoring likelihood."
)
UNREADABLE = f"{UNREAD}the unmodified model, so no layer can be judged{MORE_ROOM}"


@dataclass(frozen=True)
class Selection(Recorded):
    """Which layer a probing set speaks for, and everything that was weighed."""

    n: int
    """Probing items the base answered."""
    base_accuracy: float
    accuracy: ByLayer
    gains: ByLayer
    """Accuracy minus the base's, as shares, on the items the layer saw."""
    margin_gains: ByLayer | None
    """Mean gain in margin, in nats; None where only text was generated."""
    probability_gains: ByLayer | None
    """Mean gain in the right choice's probability; None where only text was generated."""
    unparsed: tuple[int | None, ...]
    """Answers that could not be read, by layer."""
    non_finite: tuple[int | None, ...]
    """Items whose logits held a NaN or Inf, by layer. Such a layer is never chosen."""
    criterion: str
    min_gain: float | None
    """Gain in accuracy (a share) that was asked for; None where only what the criterion asks."""
    reason: str
    """One sentence for a person."""
    ids: tuple[str, ...] = ()
    """Of all probing items."""
    base_unparsed: int = 0
    """Answers of the base that could not be read."""
    knockout: Annotated[Knockout | None, Field(exclude=True)] = None
    """None: keep the base."""

    @property
    def unreadable(self) -> bool:
        """Whether so few of the base's answers could be read that no layer can be judged."""
        return 2 * self.base_unparsed >= self.n

    @property
    def gain(self) -> float | None:
        """The chosen layer's gain on the probing items: optimistic, it was picked for it."""
        return None if self.knockout is None else self.gains[self.knockout.layer]


def select(
    table: ScoreTable,
    *,
    min_gain: float | None = None,
    criterion: str = DEFAULT_CRITERION,
    scope: Scope = "attention",
    fill: Fill = "zero",
    n_layers: int | None = None,
) -> Selection:
    """Choose among the knockouts of one scope and fill by a criterion of `CRITERIA`, or "auto".

    `min_gain` is a gain in accuracy, as a share, that a layer must exceed whatever else is weighed;
    without it a layer must gain accuracy only where the criterion says so. Never chosen: a layer
    with a NaN or Inf among its logits, one that did not see every item the base saw, and one that
    gains no accuracy while most of its answers cannot be read. `n_layers` is the decoder's depth
    where layers at its end were not swept.

    Raises UsageError for an unknown criterion or one that needs scores where only text was
    generated, TaloError where the table has no such knockouts or the base's logits are broken.
    """
    rule = criterion_named(criterion, table)
    knockouts = knockouts_of(table, scope, fill)
    if not knockouts:
        raise TaloError(
            f"These scores hold no knockout of scope {scope!r} and fill {fill!r}. "
            "Sweep that scope and fill first."
        )
    if rule.needs_scores and table.scores is None:
        raise UsageError(
            f"Criterion {rule.name!r} needs log-likelihoods of the choices, but only text was "
            "generated. Use --criterion accuracy, or probe with --scoring likelihood."
        )
    base = table.row(None)
    _refuse_broken_base(table, base)
    rows = [table.row(knockout) for knockout in knockouts]
    moments = layer_moments(table, rows)
    complete = np.array([bool(table.scored[row][table.scored[base]].all()) for row in rows])
    finite = np.array([bool(table.finite[row][table.scored[row]].all()) for row in rows])
    unread = np.array([int((table.scored[row] & ~table.parsed[row]).sum()) for row in rows])
    # Probabilities in the middle of a model's thoughts are no answers.
    guessed = (2 * unread >= table.scored[rows].sum(axis=1)) & (moments.accuracy.mean <= 0)
    allowed = complete & finite & ~guessed
    chosen = int(choose(rule, moments, allowed, min_gain))
    knockout = knockouts[chosen] if chosen >= 0 else None
    layer = None if knockout is None else knockout.layer

    depth = max(n_layers or 0, 1 + max(knockout.layer for knockout in knockouts))

    def by_layer(values: NDArray) -> tuple[Any, ...]:
        spread: list[Any] = [None] * depth
        for variant, value in zip(knockouts, values.tolist(), strict=True):
            spread[variant.layer] = None if value != value else value
        return tuple(spread)

    seen = table.scored[rows]
    answers = right(table)
    with np.errstate(invalid="ignore"):
        accuracy = answers[rows].sum(axis=1) / seen.sum(axis=1)
    margin, probability = moments.margin, moments.probability
    n = int(table.scored[base].sum())
    unparsed = int((table.scored[base] & ~table.parsed[base]).sum())
    return Selection(
        knockout=knockout,
        reason=UNREADABLE.format(unparsed=unparsed, n=n)
        if knockout is None and 2 * unparsed >= n
        else _reason(rule, layer, moments, chosen, n, int((~finite).sum())),
        base_unparsed=unparsed,
        criterion=rule.name,
        min_gain=min_gain,
        n=n,
        base_accuracy=float(answers[base].sum() / n),
        accuracy=by_layer(accuracy),
        gains=by_layer(moments.accuracy.mean),
        margin_gains=None if margin is None else by_layer(margin.mean),
        probability_gains=None if probability is None else by_layer(probability.mean),
        unparsed=by_layer(unread),
        non_finite=by_layer((seen & ~table.finite[rows]).sum(axis=1)),
        ids=table.item_ids,
    )


def criterion_named(name: str, table: ScoreTable) -> Criterion:
    """The criterion of this name for this table; "auto" picks by what was scored.

    Raises UsageError for an unknown name.
    """
    if name == DEFAULT_CRITERION:
        seen = table.scored[table.row(None)]
        probability = table.probability
        scored = probability is not None and np.isfinite(probability[table.row(None), seen]).all()
        return CRITERIA[WITH_SCORES if scored else "accuracy"]
    return criterion_of(name)


def layer_moments(table: ScoreTable, rows: list[int]) -> LayerMoments:
    """Mean and standard error of the paired differences of these rows to the base, (L,) each."""
    base = table.row(None)
    both = table.scored[rows] & table.scored[base]

    def moment(values: NDArray[np.float64]) -> Moment:
        with np.errstate(invalid="ignore"):
            change = values[rows] - values[base]
        return paired_moment(np.where(both & np.isfinite(change), change, np.nan))

    scored = (None if v is None else moment(v) for v in (table.probability, table.margin))
    return LayerMoments(moment(right(table).astype(np.float64)), *scored)


def paired_moment(change: NDArray[np.float64]) -> Moment:
    """Mean and standard error over the last axis of differences, NaN entries left out."""
    known = np.isfinite(change)
    n = known.sum(axis=-1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, change, 0.0).sum(axis=-1) / n
        spread = np.where(known, change - mean[..., None], 0.0)
        error = np.sqrt((spread**2).sum(axis=-1) / (n - 1) / n)
    return Moment(mean=mean, error=error)


def _refuse_broken_base(table: ScoreTable, base: int) -> None:
    broken = int((table.scored[base] & ~table.finite[base]).sum())
    if broken:
        raise TaloError(
            f"The unmodified model gave NaN or Inf logits on {broken} of "
            f"{int(table.scored[base].sum())} items, so no layer can be compared with it. "
            "Try --dtype float32."
        )
    if not table.scored[base].any():
        raise TaloError("The unmodified model answered no item: there is nothing to select from.")


def _reason(
    rule: Criterion, layer: int | None, moments: LayerMoments, chosen: int, n: int, broken: int
) -> str:
    items = f"{n} probing item{'' if n == 1 else 's'}"
    aside = f" ({broken} layers with NaN or Inf logits were left out)" if broken else ""
    if layer is None:
        return f"No layer's knockout earns its place on {items}, judged by {rule.says}{aside}."
    gain = float(moments.accuracy.mean[chosen])
    did = f"gains {points(gain)}" if gain else "leaves accuracy as it is"
    if gain < 0:
        did = f"changes accuracy by {points(gain)}"
    tied = int((np.abs(moments.accuracy.mean - moments.accuracy.mean[chosen]) < 1e-9).sum()) - 1
    tie = ""
    if rule.measure == "accuracy" and tied:
        by = "index, the margin being unknown" if moments.margin is None else "margin"
        tie = f", ahead of {tied} layer{'' if tied == 1 else 's'} with the same gain by its {by}"
    return f"Layer {layer} {did} on {items}, chosen by {rule.says}{tie}{aside}."
