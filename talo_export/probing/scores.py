"""ScoreTable: what every variant of the model answered to every item. All statistics read this.

Rows are variants (the base first, then knockouts), columns are items. A cell may be missing
(`scored` is False): a journal may hold a layer's answers to some of the items alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talo_export.knockout import Knockout
from talo_export.tasks.item import Item


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one variant answered one item.

    `answer` is what it said (generated text, or the text of the choice it preferred); `choice`
    the index of the choice that was read out of it, None where none could be (then `parsed` is
    False, unless the item is free-form). `scores` are log-likelihoods per choice, in nats, None
    where only text was generated. `finite` is False where a NaN or Inf stood among the logits.
    """

    correct: bool
    parsed: bool
    answer: str
    choice: int | None = None
    scores: tuple[float, ...] | None = None
    finite: bool = True


@dataclass(frozen=True)
class ScoreTable:
    """Outcomes as arrays: V variants x N items (x C choices, NaN-padded)."""

    variants: tuple[Knockout | None, ...]
    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    gold: NDArray[np.int16]
    """(N,) index of the right choice, -1 for free-form."""
    n_choices: NDArray[np.int16]
    """(N,) number of choices, 0 for free-form."""
    scored: NDArray[np.bool_]
    """(V, N) whether this variant saw this item."""
    correct: NDArray[np.bool_]
    parsed: NDArray[np.bool_]
    finite: NDArray[np.bool_]
    choice: NDArray[np.int16]
    """(V, N) index of the choice taken, -1 for none."""
    scores: NDArray[np.float64] | None
    """(V, N, C) log-likelihood of each choice in nats; None when only text was generated."""
    answers: tuple[tuple[str | None, ...], ...]
    """V rows of N answer texts."""

    @classmethod
    def build(
        cls,
        items: Sequence[Item],
        outcomes: Mapping[Knockout | None, Mapping[str, Outcome]],
    ) -> ScoreTable:
        """Collect outcomes keyed by variant and item id. The base (None) must be among them."""
        variants = (None, *sorted(variant for variant in outcomes if variant is not None))
        shape = (len(variants), len(items))
        width = max((len(item.choices) for item in items), default=0)
        scored, correct, parsed, finite = (np.zeros(shape, dtype=bool) for _ in range(4))
        choice = np.full(shape, -1, dtype=np.int16)
        scores = np.full((*shape, width), np.nan)
        answers: list[list[str | None]] = [[None] * len(items) for _ in variants]
        any_scores = False
        for row, variant in enumerate(variants):
            seen = outcomes[variant]
            for column, item in enumerate(items):
                outcome = seen.get(item.id)
                if outcome is None:
                    continue
                scored[row, column] = True
                correct[row, column] = outcome.correct
                parsed[row, column] = outcome.parsed
                finite[row, column] = outcome.finite
                choice[row, column] = -1 if outcome.choice is None else outcome.choice
                answers[row][column] = outcome.answer
                if outcome.scores is not None:
                    any_scores = True
                    scores[row, column, : len(outcome.scores)] = outcome.scores
        return cls(
            variants=variants,
            item_ids=tuple(item.id for item in items),
            groups=tuple(item.group for item in items),
            gold=np.array([-1 if i.answer is None else i.answer for i in items], dtype=np.int16),
            n_choices=np.array([len(i.choices) for i in items], dtype=np.int16),
            scored=scored,
            correct=correct,
            parsed=parsed,
            finite=finite,
            choice=choice,
            scores=scores if any_scores else None,
            answers=tuple(map(tuple, answers)),
        )

    def row(self, variant: Knockout | None) -> int:
        """Row number of a variant."""
        return self.variants.index(variant)

    def take_items(self, columns: Sequence[int] | NDArray[np.intp]) -> ScoreTable:
        """The same table with only these columns, in this order (repeats allowed: a bootstrap)."""
        at = np.asarray(columns, dtype=np.intp)
        return ScoreTable(
            variants=self.variants,
            item_ids=tuple(self.item_ids[i] for i in at),
            groups=tuple(self.groups[i] for i in at),
            gold=self.gold[at],
            n_choices=self.n_choices[at],
            scored=self.scored[:, at],
            correct=self.correct[:, at],
            parsed=self.parsed[:, at],
            finite=self.finite[:, at],
            choice=self.choice[:, at],
            scores=None if self.scores is None else self.scores[:, at],
            answers=tuple(tuple(row[i] for i in at) for row in self.answers),
        )

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        """(V,) share of right answers among the items each variant saw."""
        seen = self.scored.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.where(seen > 0, (self.correct & self.scored).sum(axis=1) / seen, np.nan)

    @cached_property
    def margin(self) -> NDArray[np.float64] | None:
        """(V, N) right choice's score minus the best wrong one's, in nats; NaN where unknown."""
        if self.scores is None:
            return None
        right = self._right(self.scores)
        wrong = np.where(self._gold_mask, -np.inf, np.nan_to_num(self.scores, nan=-np.inf))
        with np.errstate(invalid="ignore"):
            margin = right - wrong.max(axis=2)
        return np.where(self.scored & (self.gold >= 0), margin, np.nan)

    @cached_property
    def probability(self) -> NDArray[np.float64] | None:
        """(V, N) the right choice's share, softmax over the item's choices; NaN where unknown."""
        if self.scores is None:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            top = np.nanmax(np.where(np.isnan(self.scores), -np.inf, self.scores), axis=2)
            weights = np.exp(self.scores - top[:, :, None])
            share = self._right(weights) / np.nansum(weights, axis=2)
        return np.where(self.scored & (self.gold >= 0), share, np.nan)

    @cached_property
    def _gold_mask(self) -> NDArray[np.bool_]:
        assert self.scores is not None
        return np.arange(self.scores.shape[2])[None, None, :] == self.gold[None, :, None]

    def _right(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(V, N) the entry of the right choice."""
        safe = np.clip(self.gold, 0, None).astype(np.intp)
        return np.take_along_axis(values, safe[None, :, None], axis=2)[:, :, 0]
