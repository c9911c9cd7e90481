"""Is it the layer or the letter?

A model that says "no" to everything gains from any nudge that makes it say "yes" more often, and
knocking out a layer is a nudge. Batch calibration (Zhou et al. 2024, arXiv 2309.17249) takes the
preference for an answer out: from each choice's log-probability its mean over the items is
subtracted, without looking at labels. Done to base and knockout alike, it leaves what the knockout
does beyond shifting the preference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Field, Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.paired import (
    Clusters,
    cluster,
    gain_interval,
    right,
    sign_flip_p_value,
)
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.wording import percent

Fate = Literal["stays", "shrinks", "vanishes", "no gain"]


@dataclass(frozen=True)
class PairedGain:
    """Base and knockout on the same items, in shares."""

    base_accuracy: float
    accuracy: float
    gain: float
    interval: Annotated[tuple[float, float], Field(alias="ci95")]
    p_value: float


@dataclass(frozen=True)
class Distribution:
    """Shares of the items, by choice: A, B, ... (answers that could not be read are missing)."""

    gold: tuple[float, ...]
    """Whose right choice it is."""
    base: tuple[float, ...]
    """To which the base answers it."""
    knockout: tuple[float, ...]


@dataclass(frozen=True)
class AnswerCalibration(Recorded):
    """One knockout with and without the model's preference for an answer taken out."""

    layer: int
    n: int
    distribution: Distribution
    raw: PairedGain
    calibrated: PairedGain
    fate: Fate
    """What becomes of the gain: `stays` (at least half of it, and its interval is above 0),
    `vanishes` (at most a quarter is left), `shrinks` (in between, or no longer certain)."""

    @derived
    def sentence(self) -> str:
        """One sentence for report and card, in points."""
        layer, raw, after = self.layer, 100 * self.raw.gain, 100 * self.calibrated.gain
        base, gold = self.distribution.base, self.distribution.gold
        favourite = int(np.argmax(base))
        habit = (
            f"the base answers {chr(ord('A') + favourite)} to {percent(base[favourite], 0)} "
            f"of the {self.n} items ({percent(gold[favourite], 0)} would be right)"
        )
        if self.fate == "no gain":
            return f"Layer {layer}: there is no gain to explain ({raw:+.1f} points); {habit}."
        said = {
            "stays": "the gain is not just a change in which answer the model prefers",
            "shrinks": "part of the gain may be a change in which answer the model prefers",
            "vanishes": "the gain vanishes: the knockout mends which answer the model prefers, "
            "which calibration does without any surgery",
        }[self.fate]
        return (
            f"Layer {layer}: {raw:+.1f} points as it stands, {after:+.1f} when the preference for "
            f"an answer is taken out of base and knockout alike; {said}; {habit}."
        )


def calibrate_answers(
    table: ScoreTable, knockout: Knockout, *, seed: int, same_choices: bool | None = None
) -> AnswerCalibration | None:
    """Compare a knockout's gain before and after batch calibration of both sides.

    Meaningful only where choice number c means the same for every item: letters were scored, or
    every item has the same choices. `same_choices` says so; None reads it off the answers, where
    each choice number must always have the same text. Returns None where it does not apply (free
    form, generated text, differing choices). Raises TaloError where the two share no item.
    """
    if table.scores is None:
        return None
    rows = [table.row(None), table.row(knockout)]
    kept = np.flatnonzero(
        (table.scored & table.finite)[rows].all(axis=0) & (table.gold >= 0) & _complete(table, rows)
    )
    if not len(kept):
        raise TaloError(
            f"Layer {knockout.layer} and the base share no item with scored choices: "
            "nothing to calibrate."
        )
    if same_choices is None:
        same_choices = _always_the_same_text(table, kept)
    if not same_choices:
        return None
    groups = [table.groups[column] for column in kept]
    gold = table.gold[kept].astype(np.int64)
    before = right(table)[np.ix_(np.array(rows), kept)]
    after = np.stack([_calibrated_choice(table.scores[row, kept]) == gold for row in rows])
    raw = _paired(before, groups, seed)
    calibrated = _paired(after, groups, seed)
    width = int(table.n_choices[kept].max())
    return AnswerCalibration(
        layer=knockout.layer,
        n=len(kept),
        distribution=Distribution(
            gold=_shares(gold, width),
            base=_shares(table.choice[rows[0], kept], width),
            knockout=_shares(table.choice[rows[1], kept], width),
        ),
        raw=raw,
        calibrated=calibrated,
        fate=_fate(raw, calibrated),
    )


def _complete(table: ScoreTable, rows: list[int]) -> NDArray[np.bool_]:
    assert table.scores is not None
    counts = np.isfinite(table.scores[rows]).sum(axis=2)
    complete: NDArray[np.bool_] = (counts == table.n_choices).all(axis=0)
    return complete


def _always_the_same_text(table: ScoreTable, kept: NDArray[np.intp]) -> bool:
    """Whether each choice number was always answered with one and the same text."""
    texts: dict[int, str] = {}
    for row in range(len(table.variants)):
        for column in kept:
            choice, text = int(table.choice[row, column]), table.answers[row][column]
            if choice < 0 or text is None:
                continue
            if texts.setdefault(choice, text) != text:
                return False
    return len(set(texts.values())) == len(texts)


def _calibrated_choice(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) preferred choice after each choice's mean log-probability is subtracted."""
    known = np.isfinite(scores)
    top = np.where(known, scores, -np.inf).max(axis=1, keepdims=True)
    total = np.where(known, np.exp(scores - top), 0.0).sum(axis=1, keepdims=True)
    logs = np.where(known, scores - top - np.log(total), 0.0)
    mean = logs.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    chosen: NDArray[np.int64] = np.where(known, logs - mean, -np.inf).argmax(axis=1)
    return chosen


def _paired(answers: NDArray[np.bool_], groups: list[str], seed: int) -> PairedGain:
    change = answers[1].astype(np.int64) - answers[0]
    clusters: Clusters = cluster(change, groups)
    return PairedGain(
        base_accuracy=float(answers[0].mean()),
        accuracy=float(answers[1].mean()),
        gain=clusters.mean,
        interval=gain_interval(clusters, seed=seed),
        p_value=sign_flip_p_value(clusters),
    )


def _shares(choices: NDArray, width: int) -> tuple[float, ...]:
    counts = np.bincount(choices[choices >= 0].astype(np.int64), minlength=width)
    return tuple((counts / len(choices)).tolist())


def _fate(raw: PairedGain, calibrated: PairedGain) -> Fate:
    if raw.gain <= 0:
        return "no gain"
    if calibrated.gain <= raw.gain / 4:
        return "vanishes"
    if calibrated.gain >= raw.gain / 2 and calibrated.interval[0] > 0:
        return "stays"
    return "shrinks"
