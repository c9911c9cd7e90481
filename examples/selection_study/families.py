"""What is worth trying on a model: every family of cuts at the same number of labelled items.

    python examples/selection_study/families.py examples/selection_study/families.npz --out study

Reads what `sweep_tasks.py` wrote; no forward pass, under a minute. For each model, task, family and
number of shots: probing sets are drawn at random, the product's default rule chooses on them, and
the items not drawn judge. The whole procedure is judged by items that neither chose nor confirmed:
the items not drawn are halved, one half confirms, the other tells what the kept cut does; 0 where
the base is kept. Writes `families.md`, `families.json` and `families.png`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from cuts import BASE, FAMILIES, Cut
from numpy.typing import NDArray
from pages import Best, Full, Line, write_pages
from tables import Scores, load_scores

from talo_export.evidence.analyses.shots import HURTS
from talo_export.evidence.confirmation import verdict_of
from talo_export.evidence.criteria import CRITERIA, WITH_SCORES, LayerMoments, Moment, choose
from talo_export.evidence.differences import Differences, moments_of_subsets, random_subsets
from talo_export.evidence.layer_tests import correct_over_layers
from talo_export.evidence.paired import cluster, gain_interval
from talo_export.knockout import Knockout

Array = NDArray[np.float64]
SHOTS = (20, 50, 100)
LEAST_UNSEEN = 20
"""Items left to confirm and to judge; a task with fewer has no say at that number of shots."""
RUNS = 500
FIRST = 40
"""Items of a task that chose which heads and pairs were scored on the others."""
CALIBRATION, ANY = "answer calibration", "attention, mlp, half or rank"
SHRUNK, STAGED = "heads, shrunk", "heads, in two stages"
TRIED: dict[str, tuple[str, ...]] = {
    **{family: (family,) for family in FAMILIES[1:]},
    ANY: ("attention", "mlp", "half", "rank"),
    SHRUNK: ("heads",),
    STAGED: ("heads",),
    CALIBRATION: (),
}
"""What is tried, and the families it chooses from."""


@dataclass(frozen=True, eq=False)
class Answers:
    """One sweep's items on which all of a family's cuts were scored; the base is row 0."""

    cuts: tuple[Cut, ...]
    right: NDArray[np.bool_]
    """(cuts, items)"""
    margin: Array | None
    """(cuts, items), nats; None where only text was generated."""
    by_label: Array | None
    """(cuts, items, labels) log-shares; None where the items' choices are not the same."""
    gold: NDArray[np.int64]
    """(items,) label of the right choice."""

    def differences(self) -> Differences:
        """To the base, as the product's selection takes them."""
        right = self.right.astype(np.float64)
        return Differences(
            knockouts=tuple(map(Knockout, range(len(self.cuts) - 1))),
            members=np.arange(len(self.gold)),
            base=self.right[0],
            accuracy=(right[1:] - right[0]).T,
            probability=None,
            margin=None if self.margin is None else (self.margin[1:] - self.margin[0]).T,
        )


@dataclass(frozen=True, eq=False)
class Trials:
    """Simulated runs on one task, (runs,) each; gains are shares, 0 where the base is kept."""

    apparent: Array
    """On the items that chose."""
    gain: Array
    """On the items not drawn."""
    acts: NDArray[np.bool_]
    """Whether a cut was chosen."""
    confirmed: NDArray[np.bool_]
    """By all items not drawn."""
    whole: Array
    """Of what one half of them confirmed, on the other half."""
    calibrated: Array | None
    """On the items not drawn, base and cut both calibrated; None where choices are not shared."""


def answers_of(scores: Scores, families: tuple[str, ...]) -> Answers:
    """The answers of the base and of these families on the items that all of them saw."""
    rows = [at for at, cut in enumerate(scores.cuts) if cut == BASE or cut.family in families]
    items = np.flatnonzero(np.isfinite(scores.shares[rows, :, 0]).all(axis=0))
    shares = scores.shares[np.ix_(rows, items)].astype(np.float64)
    gold, labels = scores.gold[items].astype(np.int64), scores.labels[items].astype(np.int64)
    known = np.where(np.isfinite(shares), shares, -np.inf)
    at_gold = gold[None, :, None]
    right_share = np.take_along_axis(known, at_gold, axis=2)[:, :, 0]
    wrong = known.copy()
    np.put_along_axis(wrong, np.broadcast_to(at_gold, (*known.shape[:2], 1)), -np.inf, axis=2)
    shared = (np.sort(labels, axis=1) == np.sort(labels[0])).all() and (labels >= 0).all()
    by_label = None
    if shared:
        numbers = np.searchsorted(np.sort(labels[0]), labels)
        by_label = np.empty_like(shares)
        np.put_along_axis(by_label, np.broadcast_to(numbers, shares.shape), shares, axis=2)
        gold = numbers[np.arange(len(gold)), gold]
    return Answers(
        cuts=tuple(scores.cuts[row] for row in rows),
        right=known.argmax(axis=2) == scores.gold[items],
        margin=right_share - wrong.max(axis=2),
        by_label=by_label,
        gold=gold,
    )


def default_rule(moments: LayerMoments) -> NDArray[np.int64]:
    """(runs,) what the product chooses, -1 for the base."""
    return choose(CRITERIA["accuracy" if moments.margin is None else WITH_SCORES], moments)


def shrunk_rule(moments: LayerMoments) -> NDArray[np.int64]:
    """The default with every margin's gain first shrunk to the mean of all candidates.

    By the method of moments, run by run: the more the candidates differ beyond their errors, the
    less each is drawn to their mean.
    """
    assert moments.margin is not None
    mean, error = moments.margin.mean, np.maximum(moments.margin.error, 1e-9)
    centre = mean.mean(axis=1, keepdims=True)
    spread = np.maximum(mean.var(axis=1, keepdims=True) - (error**2).mean(axis=1, keepdims=True), 0)
    weight = spread / (spread + error**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        shrunk = Moment(weight * mean + (1 - weight) * centre, np.sqrt(weight) * error)
    return default_rule(replace(moments, margin=shrunk))


def staged_rule(answers: Answers, drawn: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Half of the drawn items choose a layer by the sum of its heads' gains, half its head."""
    sweep = answers.differences()
    assert sweep.margin is not None
    layer_of = np.array([cut.layer for cut in answers.cuts[1:]])
    first = drawn * (rng.random(drawn.shape) < 0.5)
    layers = np.unique(layer_of)
    sums = (first @ sweep.margin) @ (layer_of[:, None] == layers)
    allowed = layer_of == layers[sums.argmax(axis=1)][:, None]
    moments = moments_of_subsets(sweep, drawn - first)
    return choose(CRITERIA[WITH_SCORES], moments, allowed)


def trials(answers: Answers, family: str, shots: int, runs: int) -> Trials:
    """Draw, choose, confirm and judge; all families of a task see the same draws."""
    sweep, rng = answers.differences(), np.random.default_rng(shots)
    drawn = random_subsets(sweep.members, shots, runs, rng)
    if family == CALIBRATION:
        plain = np.zeros(runs, dtype=np.int64)
        right = calibrated_right(answers, drawn, plain)
        assert right is not None
        change = right.astype(np.int64) - answers.right[0]
        return judged(change, np.ones(runs, dtype=bool), drawn, rng, None)
    if family == STAGED:
        chosen = staged_rule(answers, drawn, rng)
    else:
        rule = shrunk_rule if family == SHRUNK else default_rule
        chosen = rule(moments_of_subsets(sweep, drawn))
    acts = chosen >= 0
    change = answers.right[1 + np.maximum(chosen, 0)].astype(np.int64) - answers.right[0]
    change[~acts] = 0
    return judged(change, acts, drawn, rng, calibrated_gain(answers, drawn, chosen, 1 - drawn))


def judged(
    change: NDArray[np.int64], acts: NDArray[np.bool_], drawn: Array, rng: np.random.Generator,
    calibrated: Array | None,
) -> Trials:  # fmt: skip
    """What became of choices that change answers so, (runs, items) of -1, 0 and 1."""
    unseen = 1 - drawn
    # One half of the unseen items, drawn at random, confirms.
    luck = np.where(unseen == 1, rng.random(drawn.shape), np.inf)
    half = luck.argsort(axis=1).argsort(axis=1) < (unseen.sum(axis=1, keepdims=True) // 2)
    kept = acts & confirmed(change, half)
    return Trials(
        apparent=mean_over(change, drawn),
        gain=mean_over(change, unseen),
        acts=acts,
        confirmed=acts & confirmed(change, unseen == 1),
        whole=np.where(kept, mean_over(change, np.where(half, 0, unseen)), 0.0),
        calibrated=calibrated,
    )


def mean_over(change: NDArray[np.int64], items: NDArray) -> Array:
    """(runs,) mean of each run's items, given as (runs, items) of 0 and 1."""
    mean: Array = (change * items).sum(axis=1) / items.sum(axis=1)
    return mean


def confirmed(change: NDArray[np.int64], items: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(runs,) whether the product would call these changes of these items confirmed."""
    ups, downs = ((change == sign) & items for sign in (1, -1))
    counts = zip(ups.sum(axis=1), downs.sum(axis=1), items.sum(axis=1), strict=True)
    return np.array([is_confirmed(int(u), int(d), int(n)) for u, d, n in counts])


@cache
def is_confirmed(ups: int, downs: int, n: int) -> bool:
    """The product's verdict; single items are interchangeable, so counts say it all."""
    if ups <= downs:
        return False
    change = np.r_[np.ones(ups), -np.ones(downs), np.zeros(n - ups - downs)]
    interval = gain_interval(cluster(change, list(map(str, range(n)))), seed=0)
    return verdict_of(interval) == "confirmed"


def calibrated_right(answers: Answers, drawn: Array, rows: NDArray[np.int64]) -> Array | None:
    """(runs, items) of 0 and 1: right once the mean log-share on the drawn items is taken off."""
    if answers.by_label is None:
        return None
    shares = answers.by_label[rows]
    prior = (shares * drawn[:, :, None]).sum(axis=1) / drawn.sum(axis=1)[:, None]
    right: Array = ((shares - prior[:, None]).argmax(axis=2) == answers.gold).astype(np.float64)
    return right


def calibrated_gain(
    answers: Answers, drawn: Array, chosen: NDArray[np.int64], judging: Array
) -> Array | None:
    """(runs,) gain of the chosen cut on the judging items where both sides are calibrated."""
    base = calibrated_right(answers, drawn, np.zeros(len(drawn), dtype=np.int64))
    cut = calibrated_right(answers, drawn, 1 + chosen)
    return None if base is None or cut is None else mean_over((cut - base).astype(int), judging)


def line_of(model: str, task: str, name: str, scores: Scores, shots: int, runs: int) -> Line | None:
    """One family on one task; None where it was not scored or too few items are left to judge."""
    families = TRIED[name]
    if families and not {cut.family for cut in scores.cuts} & set(families):
        return None
    answers = answers_of(scores, families)
    every = len(answers.gold) == scores.shares.shape[1]
    if len(answers.gold) - shots < LEAST_UNSEEN or (name in (SHRUNK, STAGED) and not every):
        return None
    if name == CALIBRATION and answers.by_label is None:
        return None
    seen = trials(answers, name, shots, runs)
    return Line(
        model=model,
        family=name,
        task=task,
        shots=shots,
        labelled=shots if every else shots + FIRST,
        candidates=len(answers.cuts) - 1,
        passes=passes(answers.cuts, 1 + max(cut.layer for cut in scores.cuts)),
        apparent=points(seen.apparent),
        gain=points(seen.gain),
        acts=points(seen.acts),
        hurts=points(seen.gain < HURTS),
        confirmed=points(seen.confirmed),
        whole=points(seen.whole),
        whole_hurts=points(seen.whole < HURTS),
        calibrated=np.nan if seen.calibrated is None else points(seen.calibrated),
    )


def points(values: NDArray) -> float:
    """A mean as points or percent."""
    return 100 * float(np.mean(values))


def full_of(model: str, task: str, scores: Scores) -> Full:
    """The best cut of each family as it looks on all of its items: it is chosen by them."""
    base = answers_of(scores, ())
    best = {}
    for family in FAMILIES[1:]:
        if any(cut.family == family for cut in scores.cuts):
            answers = answers_of(scores, (family,))
            tests = correct_over_layers(answers.differences(), seed=0, permutations=2000).layers
            top = int(np.argmax([test.gain for test in tests]))
            everything = np.ones((1, len(answers.gold)))
            calibrated = calibrated_gain(answers, everything, np.array([top]), everything)
            best[family] = Best(
                cut=named(answers.cuts[1 + top]),
                gain=100 * tests[top].gain,
                p_gain=min(test.p_gain for test in tests),
                calibrated=np.nan if calibrated is None else points(calibrated),
            )
    everything = np.ones((1, len(base.gold)))
    right = calibrated_right(base, everything, np.zeros(1, dtype=np.int64))
    return Full(
        model=model, task=task, items=len(base.gold), base=points(base.right[0]),
        calibrated_base=np.nan if right is None else points(right), best=best,
    )  # fmt: skip


def named(cut: Cut) -> str:
    """`12`, `12:3` for a head, `3 + 12` for a pair."""
    if cut.second < 0:
        return str(cut.layer)
    return f"{cut.layer}{':' if cut.family == 'heads' else ' + '}{cut.second}"


def passes(cuts: Sequence[Cut], layers: int) -> float:
    """Layers run for one probing item, the base's among them, in plain forward passes."""
    return sum(layers - max(cut.layer, 0) for cut in cuts) / layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tables = load_scores(arguments.scores)
    lines = [
        line
        for (model, task), scores in tables.items()
        for name in TRIED
        for shots in SHOTS
        if (line := line_of(model, task, name, scores, shots, arguments.runs)) is not None
    ]
    if not lines:
        raise SystemExit(f"no task of {arguments.scores} has items enough: sweep more of them")
    full = [full_of(model, task, scores) for (model, task), scores in tables.items()]
    write_pages(lines, full, out)


if __name__ == "__main__":
    main()
