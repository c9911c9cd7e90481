"""Is it the layer or the letter: what is left without a preference for an answer?

A model that says "no" to everything gains from any nudge that makes it say "yes" more often, and
knocking out a layer is a nudge. Batch calibration (Zhou et al. 2024, arXiv 2309.17249) takes the
preference for an answer out: from each choice's log-probability its mean over the items is
subtracted, without looking at labels. Done to base and knockout alike, it leaves what the knockout
does beyond shifting the preference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talo_export.codec import Recorded, derived
from talo_export.errors import TaloError
from talo_export.evidence.canvas import (
    CHOSEN,
    FAINT,
    GAIN,
    LOSS,
    NEUTRAL,
    figure,
    note,
    span_at_least,
    zero_line,
)
from talo_export.evidence.paired import cluster, judged_gain, right
from talo_export.evidence.runs import Analysed, Runs
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.tasks.item import LETTERS
from talo_export.wording import percent, points, signed

Fate = Literal["stays", "shrinks", "vanishes", "no gain"]
"""Of a gain: `stays` (`MUCH_LEFT` of it, and its interval is above 0), `vanishes` (at most
`LITTLE_LEFT`), `shrinks` (in between, or no longer certain)."""

MUCH_LEFT, LITTLE_LEFT = 0.5, 0.25
"""Shares of a gain."""


@dataclass(frozen=True)
class PairedGain:
    """Base and knockout on the same items, in shares."""

    base_accuracy: float
    accuracy: float
    gain: float
    ci95: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class AnswerShares:
    """Shares of the items: of which A, B, ... is right, and which are answered so (unread answers
    are missing)."""

    gold: tuple[float, ...]
    base: tuple[float, ...]
    knockout: tuple[float, ...]


@dataclass(frozen=True)
class AnswerCalibration(Recorded):
    """One knockout with and without the model's preference for an answer taken out."""

    layer: int
    n: int
    distribution: AnswerShares
    raw: PairedGain
    calibrated: PairedGain
    fate: Fate

    @derived
    def sentence(self) -> str:
        """One sentence for report and card, in points."""
        base, gold = self.distribution.base, self.distribution.gold
        favourite = int(np.argmax(base))
        habit = (
            f"the base answers {LETTERS[favourite]} to {percent(base[favourite], 0)} "
            f"of the {self.n} items ({percent(gold[favourite], 0)} would be right)"
        )
        if self.fate == "no gain":
            return (
                f"Layer {self.layer}: there is no gain to explain ({points(self.raw.gain)}); "
                f"{habit}."
            )
        means = {
            "stays": "the gain is not just a change in which answer the model prefers",
            "shrinks": "part of the gain may be a change in which answer the model prefers",
            "vanishes": "the gain vanishes: the knockout mends which answer the model prefers, "
            "which calibration does without any surgery",
        }[self.fate]
        return (
            f"Layer {self.layer}: {points(self.raw.gain)} as it stands, "
            f"{signed(self.calibrated.gain)} when the preference for an answer is taken out of "
            f"base and knockout alike; {means}; {habit}."
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
    known = (table.scored & table.finite)[rows].all(axis=0)
    complete = (np.isfinite(table.scores[rows]).sum(axis=2) == table.n_choices).all(axis=0)
    kept = np.flatnonzero(known & (table.gold >= 0) & complete)
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
    both = np.ix_(np.array(rows), kept)
    before = right(table)[both]
    after = np.stack([_calibrated_choice(table.scores[row, kept]) == gold for row in rows])
    raw = _paired(before, groups, seed)
    calibrated = _paired(after, groups, seed)
    width = int(table.n_choices[kept].max())
    return AnswerCalibration(
        layer=knockout.layer,
        n=len(kept),
        distribution=AnswerShares(*(_shares(c, width) for c in (gold, *table.choice[both]))),
        raw=raw,
        calibrated=calibrated,
        fate=fate_of(raw.gain, calibrated.gain, calibrated.ci95),
    )


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
    from scipy.special import log_softmax

    known = np.isfinite(scores)
    logs = log_softmax(np.where(known, scores, -np.inf), axis=1)
    mean = logs.sum(axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, logs - mean, -np.inf).argmax(axis=1)


def _paired(answers: NDArray[np.bool_], groups: list[str], seed: int) -> PairedGain:
    change = answers[1].astype(np.int64) - answers[0]
    base_accuracy, accuracy = answers.mean(axis=1).tolist()
    return PairedGain(base_accuracy, accuracy, *judged_gain(cluster(change, groups), seed=seed))


def _shares(choices: NDArray, width: int) -> tuple[float, ...]:
    counts = np.bincount(choices[choices >= 0].astype(np.int64), minlength=width)
    return tuple((counts / len(choices)).tolist())


def fate_of(raw: float, calibrated: float, ci95: tuple[float, float]) -> Fate:
    """What calibration leaves of a gain (shares; the interval is that of what is left)."""
    if raw <= 0:
        return "no gain"
    if vanishes(raw, calibrated):
        return "vanishes"
    return "stays" if calibrated >= MUCH_LEFT * raw and ci95[0] > 0 else "shrinks"


def vanishes(raw: float, calibrated: float) -> bool:
    """Whether calibration leaves little of a gain."""
    return raw > 0 and calibrated <= LITTLE_LEFT * raw


def analyse(runs: Runs) -> Analysed:
    """Of one run."""
    run = runs.only("answers")
    result = calibrate_answers(
        run.judged, run.chosen, seed=runs.seed, same_choices=run.lettered or None
    )
    if result is None:
        raise TaloError(
            f"{run.where} has no answers whose preference could be taken out: its choices "
            "differ from item to item, or only text was generated. Probe lettered choices with "
            "--scoring likelihood."
        )
    title = f"{run.task}: is it the layer or the letter?"
    return Analysed(result, partial(draw_answers, result, title=title))


def draw_answers(result: AnswerCalibration, path: Path, *, title: str, svg: bool = False) -> Path:
    """Answers given by base and knockout beside the right ones; the gain before and after."""
    with figure(path, 7.4, 3.4, title=title, svg=svg) as drawing:
        left, right = drawing.subplots(1, 2, width_ratios=[2, 1])
        shares = result.distribution
        at = np.arange(len(shares.gold))
        bars = (("right answers", shares.gold, "#BBBBBB"), ("base", shares.base, GAIN),
                (f"without layer {result.layer}", shares.knockout, CHOSEN))  # fmt: skip
        left.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        for i, (name, values, colour) in enumerate(bars):
            left.bar(at + 0.27 * (i - 1), [100 * share for share in values], width=0.25,
                     color=colour, label=name, zorder=2)  # fmt: skip
        left.set_xticks(at, list(LETTERS[: len(at)]))
        left.set_xlabel("choice")
        left.set_ylabel("share of items (%)")
        left.set_title(f"{result.n} items", fontsize=8.5)
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
        right.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        for i, gain in enumerate((result.raw, result.calibrated)):
            low, high = (100 * bound for bound in gain.ci95)
            colour = CHOSEN if low > 0 else LOSS if high < 0 else NEUTRAL
            right.vlines([i], low, high, color=colour, linewidth=2)
            right.plot([i], [100 * gain.gain], "o", color=colour, markersize=7)
            note(right, signed(gain.gain), (i, 100 * gain.gain), (8, 0), va="center",
                 fontweight="bold")  # fmt: skip
        zero_line(right)
        right.set_xlim(-0.5, 1.7)
        right.set_xticks([0, 1], ["as it\nstands", "preference\ntaken out"])
        span_at_least(right, -5, 5)
        right.set_ylabel("gain (points), paired 95 % interval")
        right.set_title(f"the gain {result.fate}" if result.fate != "no gain" else "no gain",
                        fontsize=8.5)  # fmt: skip
    return path
