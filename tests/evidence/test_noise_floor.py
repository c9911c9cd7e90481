"""The base against itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from talo_export.errors import TaloError
from talo_export.evidence.noise_floor import noise_floor


def test_the_same_run_has_no_noise(make_table):
    table = make_table([1, 0, 1], [[1, 1, 1]])
    found = noise_floor([table], table.take_items([2, 0, 1]))
    assert (found.flipped, found.turned) == (0, 0)
    assert "all 3 items the same" in found.sentence


def test_flipped_answers_and_turned_results_are_counted(make_table):
    scores = np.zeros((2, 3, 2))
    first = make_table([1, 0, 1], [[1, 1, 1]], scores=scores)
    second = make_table([1, 1, 1], [[1, 1, 1]], scores=scores + 0.25)
    found = noise_floor([first], second)
    assert (found.flipped, found.turned) == (1, 1)
    assert found.largest_score_difference == pytest.approx(0.25)
    assert "33.3 points" in found.sentence


def test_a_wrong_answer_that_became_another_wrong_one_is_flipped_but_not_turned(make_table):
    table = make_table([0, 1], [[1, 1]])
    other = dataclasses.replace(
        table, choice=np.array([[2, 0], [0, 0]], dtype=np.int16), answers=(("C", "A"), ("A", "A"))
    )
    found = noise_floor([table], other)
    assert (found.flipped, found.turned) == (1, 0)


def test_other_items_are_an_error(make_table):
    table = make_table([1, 0, 1], [[1, 1, 1]])
    with pytest.raises(TaloError, match="same items"):
        noise_floor([table], table.take_items([0, 1]))
