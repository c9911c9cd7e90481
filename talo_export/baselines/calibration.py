"""Correcting the prior of the answers from the same few items: no training, no knockout.

A model that says "yes" to nearly everything gains from any nudge towards "no". Subtracting each
answer's mean log-probability over the items removes that bias directly (batch calibration; Zhou
et al. 2023, arXiv 2309.17249, estimate the same prior as a mean of probabilities). Where this alone
brings what a knockout brings, the layer did not interfere: the prior did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.probing.encoding import letters_scored
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.answers import is_right
from talo_export.tasks.item import LETTERS, Item
from talo_export.tasks.plain_text import exact
from talo_export.tasks.prompts import render


class NotApplicableError(TaloError):
    """A method has no meaning on this task: a result of its own, not a failure."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Mean log-share of each answer over some items, in nats; `label` names an answer."""

    nats: Mapping[str, float]

    def of(self, label: str, choices: int) -> float:
        """An answer never seen has the prior of blind choice."""
        return self.nats.get(label, -math.log(choices))


def fit_prior(
    table: ScoreTable, items: Sequence[Item], scoring: Scoring, variant: Knockout | None = None
) -> Prior:
    """The prior of one variant's answers on labelled items, whose labels it never reads.

    Raises NotApplicableError where the choices were not scored, or where items do not share them.
    """
    row = _scores(table)[table.row(variant)]
    seen: dict[str, list[float]] = {}
    for column, item in enumerate(items):
        if not item.choices or not np.isfinite(row[column, : len(item.choices)]).all():
            continue
        shares = _log_shares(row[column, : len(item.choices)])
        for label, share in zip(labels(item, scoring), shares, strict=True):
            seen.setdefault(label, []).append(float(share))
    if not seen:
        raise NotApplicableError("there are no choices whose prior could be corrected")
    if max(map(len, seen.values())) < 2:
        raise NotApplicableError("every item has choices of its own, so they have no prior")
    return Prior({label: sum(values) / len(values) for label, values in seen.items()})


def recalibrate(
    table: ScoreTable,
    items: Sequence[Item],
    priors: Mapping[Knockout | None, Prior],
    scoring: Scoring,
) -> ScoreTable:
    """The table with each variant's own prior subtracted and its answers chosen anew.

    Raises NotApplicableError where most of the items' choices were never seen by the prior.
    """  # fmt: skip
    scores, choice, correct = _scores(table).copy(), table.choice.copy(), table.correct.copy()
    for variant, prior in priors.items():
        known = [label in prior.nats for item in items for label in labels(item, scoring)]
        if sum(known) * 2 < len(known):
            raise NotApplicableError("most choices of these items are none of the probing items'")
        row = table.row(variant)
        for column, item in enumerate(items):
            n = len(item.choices)
            if not n or not np.isfinite(scores[row, column, :n]).all():
                continue
            prior_nats = [prior.of(label, n) for label in labels(item, scoring)]
            scores[row, column, :n] = _log_shares(scores[row, column, :n]) - prior_nats
            choice[row, column] = int(scores[row, column, :n].argmax())
            correct[row, column] = is_right(item, int(choice[row, column]))
    parsed = table.parsed | np.isfinite(scores[:, :, 0])
    return replace(table, scores=scores, choice=choice, correct=correct, parsed=parsed)


def labels(item: Item, scoring: Scoring) -> tuple[str, ...]:
    """What an item shares with others about its choices: the letters, or the choices' texts."""
    if letters_scored(render(item), scoring):
        return tuple(LETTERS[: len(item.choices)])
    return tuple(exact(choice) for choice in item.choices)


def _scores(table: ScoreTable) -> NDArray[np.float64]:
    if table.scores is None:
        raise NotApplicableError("no log-likelihoods of the choices were taken")
    return table.scores


def _log_shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = scores - np.logaddexp.reduce(scores)
    return shares
