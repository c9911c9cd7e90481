"""A layer that interferes is told from a preference for an answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from talo_export.errors import TaloError
from talo_export.evidence.analyses.answers import calibrate_answers
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable


def yes_no_table(base: np.ndarray, knockout: np.ndarray, gold: np.ndarray) -> ScoreTable:
    """(N, 2) scores of base and knockout on questions whose choices are yes and no."""
    scores = np.stack([base, knockout])
    choice = scores.argmax(axis=2)
    n = len(gold)
    shape = (2, n)
    return ScoreTable(
        variants=(None, Knockout(4)),
        item_ids=tuple(map(str, range(n))),
        groups=tuple(map(str, range(n))),
        gold=gold.astype(np.int16),
        n_choices=np.full(n, 2, dtype=np.int16),
        scored=np.ones(shape, dtype=bool),
        correct=choice == gold,
        parsed=np.ones(shape, dtype=bool),
        finite=np.ones(shape, dtype=bool),
        choice=choice.astype(np.int16),
        scores=scores,
        answers=tuple(tuple(("yes", "no")[c] for c in row) for row in choice),
    )


@pytest.fixture
def gold():
    return (np.arange(300) < 150).astype(int)


def evidence(gold, strength, rng):
    """Scores that point to the right answer as far as `strength` goes."""
    toward_no = strength * (2 * gold - 1) + rng.normal(0, 1, len(gold))
    return np.stack([np.zeros(len(gold)), toward_no], axis=1)


def test_a_nudge_against_a_preference_gains_and_vanishes_under_calibration(gold):
    rng = np.random.default_rng(0)
    same = evidence(gold, 0.8, rng)
    biased = same + np.array([0.0, 2.5])
    found = calibrate_answers(yes_no_table(biased, same, gold), Knockout(4), seed=0)
    assert found.raw.gain > 0.1
    assert abs(found.calibrated.gain) < 0.02
    assert found.fate == "vanishes"
    assert "vanishes" in found.sentence
    assert found.distribution.base[1] > 0.9
    assert found.distribution.gold == (0.5, 0.5)


def test_a_layer_that_blurred_the_evidence_keeps_its_gain(gold):
    rng = np.random.default_rng(0)
    found = calibrate_answers(
        yes_no_table(evidence(gold, 0.2, rng), evidence(gold, 1.5, rng), gold),
        Knockout(4),
        seed=0,
    )
    assert found.raw.gain > 0.2
    assert found.fate == "stays"
    assert found.calibrated.ci95[0] > 0


def test_calibration_looks_at_no_label(gold):
    rng = np.random.default_rng(0)
    table = yes_no_table(evidence(gold, 1, rng), evidence(gold, 1, rng), gold)
    found = calibrate_answers(table, Knockout(4), seed=0)
    other = dataclasses.replace(table, gold=1 - table.gold, correct=~table.correct)
    mirrored = calibrate_answers(other, Knockout(4), seed=0)
    assert mirrored.calibrated.base_accuracy == pytest.approx(1 - found.calibrated.base_accuracy)


def test_choices_that_differ_from_item_to_item_have_no_preference_to_take_out(gold):
    rng = np.random.default_rng(0)
    table = yes_no_table(evidence(gold, 1, rng), evidence(gold, 1, rng), gold)
    texts = tuple(tuple(f"{text}-{i}" for i, text in enumerate(row)) for row in table.answers)
    differing = dataclasses.replace(table, answers=texts)
    assert calibrate_answers(differing, Knockout(4), seed=0) is None
    assert calibrate_answers(differing, Knockout(4), seed=0, same_choices=True) is not None


def test_generated_text_cannot_be_calibrated(gold):
    rng = np.random.default_rng(0)
    table = yes_no_table(evidence(gold, 1, rng), evidence(gold, 1, rng), gold)
    assert calibrate_answers(dataclasses.replace(table, scores=None), Knockout(4), seed=0) is None


def test_no_common_item_is_an_error(gold):
    rng = np.random.default_rng(0)
    table = yes_no_table(evidence(gold, 1, rng), evidence(gold, 1, rng), gold)
    scored = np.array([np.ones(300, dtype=bool), np.zeros(300, dtype=bool)])
    with pytest.raises(TaloError, match="share no item"):
        calibrate_answers(dataclasses.replace(table, scored=scored), Knockout(4), seed=0)
