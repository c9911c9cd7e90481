"""Which layers cannot be chosen any more: an anytime-valid test on the items seen so far.

A race asks one thing: which layer, or none, the criterion would choose on the whole probing set of
N items, swept in an order drawn at random. For a layer to be that choice, each of these must hold
on the whole set:

- what the criterion ranks (say, the margin) gains, and by more standard errors than its t must
  exceed;
- where the criterion or a minimum gain demands it, accuracy gains more than that;
- no layer that meets these demands ranks higher.

Against each of them `race_bets` keeps evidence e: a number that starts at 1 and, were the demand
true, would ever reach 1 / a with probability a at most. Against the third it is, for every other
layer, the smaller of the evidence that it ranks higher and of the evidence that it meets the
demands itself; both must be wrong to be misled. A weighted average of them all is kept for every
layer, and a layer is dropped when it reaches 1 / a: **the layer that the whole set would choose is
dropped with probability a at most over the order of the items**, however often and whenever one
looks. Where the whole set would keep the base, nothing that is dropped changes that.

The race ends early when no layer is left, and when one is left that surely meets the demands: its
evidence must reach L / a among L layers, so that keeping the base is overruled with probability a
at most. Items may depend on each other as they like: the chance is that of the order, and the set
is what it is. What can occur to a layer in one item not seen yet is taken from the other layers:
half of them had a gain or loss at least so large already. That the limit behind `race_bets` is near
enough for scores of several shapes is held by simulation in the test suite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import UsageError
from talo_export.evidence.criteria import CRITERIA, Criterion
from talo_export.evidence.paired import right
from talo_export.evidence.race_bets import Array, Drawn, class_columns, drawn
from talo_export.evidence.selection import DEFAULT_CRITERION, criterion_named
from talo_export.probing.race import Standing
from talo_export.probing.scores import ScoreTable
from talo_export.tasks.item import Item

ERROR = 0.05
"""Probability, at most, that the layer to be chosen is dropped."""
FIRST = 20
"""Items before the first look."""
STEP = 5
"""Items between two looks. Looking costs no error, only a round of the sweep."""
LEADERS = 0.3
"""The others' share of the average; the rest goes to the criterion's demands in equal parts."""
ONE_ANSWER = 1.0
"""The least that accuracy can change by: no answer changed so far is no proof that none will."""


@dataclass(frozen=True)
class Contest:
    """What a race is about. `classes` (N, C) is known of all its items, in the race's order."""

    classes: Array
    criterion: str = DEFAULT_CRITERION
    min_gain: float | None = None
    error: float = ERROR

    @classmethod
    def over(
        cls,
        items: Sequence[Item],
        criterion: str,
        min_gain: float | None = None,
        error: float = ERROR,
    ) -> Contest:
        """A race over these items, in this order.

        Raises UsageError for a criterion that one far-off item may decide by itself: then no number
        of others says anything about the whole set.
        """
        rule = CRITERIA.get(criterion)
        if rule is not None and rule.measure == "margin" and not rule.min_t > 0:
            raise UsageError(
                f"a race cannot foresee what criterion {rule.name!r} chooses, since one item may "
                "outweigh all others: use one that asks for a t, such as kept-t or margin-t."
            )
        return cls(class_columns(right_choices(items)), criterion, min_gain, error)

    def standing(self, table: ScoreTable) -> Standing:
        """Who may still be chosen, by the items seen so far, and whether that is settled.

        A layer that missed an item was dropped before; one with a NaN or Inf among its logits is
        dropped now, for it is never chosen.
        """
        rule = criterion_named(self.criterion, table)
        base, seen = table.row(None), len(table.item_ids)
        asked = table.scored[base]
        whole = (table.scored | ~asked).all(axis=1) & (table.finite | ~table.scored).all(axis=1)
        rows = [
            row for row, variant in enumerate(table.variants) if variant is not None and whole[row]
        ]
        settled = False
        if rows and FIRST <= seen < len(self.classes):
            alive, surely = self._tested(table, rule, rows)
            rows = [row for row, in_ in zip(rows, alive, strict=True) if in_]
            settled = len(rows) == 1 and bool(surely[alive][0])
        kept = tuple(variant for row in rows if (variant := table.variants[row]) is not None)
        return Standing(kept, settled or not kept)

    def _tested(
        self, table: ScoreTable, rule: Criterion, rows: list[int]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For each of these rows: may it still be chosen, and does it surely meet the demands."""
        demands = self._demands(table, rule, rows)
        against = [seen.against_at_least(least, one) for seen, least, _, one in demands]
        meets = np.minimum.reduce(
            [seen.against_at_most(most, one) for seen, _, most, one in demands]
        )
        ranked, *_, one = demands[0]
        ahead = np.minimum(ranked.against_no_less(one), meets[None, :])
        np.fill_diagonal(ahead, -np.inf)
        layers = sum(variant is not None for variant in table.variants)
        shares = [np.log((1 - LEADERS) / len(against))] * len(against)
        parts = [share + part for share, part in zip(shares, against, strict=True)]
        parts += list(np.log(LEADERS / max(layers - 1, 1)) + ahead.T)
        evidence = np.logaddexp.reduce(parts, axis=0)
        return evidence < -np.log(self.error), meets >= np.log(layers / self.error)

    def _demands(
        self, table: ScoreTable, rule: Criterion, rows: list[int]
    ) -> list[tuple[Drawn, Array, Array, float]]:
        """(gains, least total that meets it, most that does not, size of one change) of each.

        The one that is ranked comes first.
        """
        answers = right(table).astype(np.float64)
        scores = {"accuracy": answers, "probability": table.probability, "margin": table.margin}
        demands = []
        asked = rule.accuracy_asked(self.min_gain)
        for measure in dict.fromkeys((rule.measure, *["accuracy"] * (asked is not None))):
            values = scores[measure]
            assert values is not None
            gains = values[rows] - values[table.row(None)]
            # An item without a score, or left out, tells no layer from the base.
            gains = np.where(np.isfinite(gains), gains, 0.0)
            counts = measure == "accuracy"
            # Answers are whole: the most that does not meet what is asked is a whole number too.
            most = np.full(
                len(rows), np.floor((asked or 0.0) * len(self.classes) + 1e-9) if counts else 0.0
            )
            if measure == rule.measure and np.isfinite(rule.min_t):
                error = gains.std(axis=1, ddof=1) * np.sqrt(len(self.classes))
                most = np.maximum(most, rule.min_t * error)
            least = np.floor(most) + 1.0 if counts else most
            one = ONE_ANSWER if counts else float(np.median(np.abs(gains).max(axis=1)))
            demands.append((drawn(gains, self.classes), least, most, one))
        return demands


def race_order(items: Sequence[Item], seed: int) -> list[Item]:
    """The items in a random order that is the same on every machine: by a hash of seed and id."""
    return sorted(
        items, key=lambda item: hashlib.sha256(f"race\n{seed}\n{item.id}".encode()).hexdigest()
    )


def right_choices(items: Sequence[Item]) -> list[str]:
    """What is right, in a word that may repeat: the choice's text where few are, else its place.

    A layer that moves a model towards one answer gains where that is right and loses elsewhere;
    knowing how often it is right in the whole set takes that part of the chance away.
    """
    texts = ["" if item.answer is None else item.choices[item.answer] for item in items]
    if class_columns(texts).shape[1]:
        return texts
    return [str(item.answer) for item in items]
