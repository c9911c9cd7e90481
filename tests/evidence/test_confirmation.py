"""The verdict of unseen items."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from talo_export.errors import TaloError
from talo_export.evidence.confirmation import confirm
from talo_export.knockout import Knockout


def answers(right: int, n: int = 40) -> list[int]:
    return [1] * right + [0] * (n - right)


def test_a_gain_on_many_items_is_confirmed(make_table):
    found = confirm(make_table(answers(10), [answers(25)]), Knockout(0), seed=0)
    assert found.verdict == "confirmed"
    assert found.gain == pytest.approx(15 / 40)
    assert found.ci95[0] > 0
    assert found.p_value < 0.001
    assert (found.turned_right, found.turned_wrong) == (15, 0)
    assert "confirmed" in found.sentence


def test_a_loss_is_harmful(make_table):
    found = confirm(make_table(answers(30), [answers(15)]), Knockout(0), seed=0)
    assert found.verdict == "harmful"
    assert found.ci95[1] < 0


def test_a_small_gain_is_unconfirmed(make_table):
    found = confirm(make_table(answers(20), [answers(22)]), Knockout(0), seed=0)
    assert found.verdict == "unconfirmed"
    assert found.ci95[0] <= 0 <= found.ci95[1]
    assert "not confirmed" in found.sentence


def test_a_gain_on_many_items_of_few_images_is_not_confirmed(make_table):
    groups = [f"image-{i // 20}" for i in range(40)]
    found = confirm(make_table(answers(10), [answers(25)], groups=groups), Knockout(0), seed=0)
    assert found.groups == 2
    assert found.verdict == "unconfirmed"


def test_keeping_the_base_states_its_accuracy_and_claims_nothing(make_table):
    found = confirm(make_table(answers(10), [answers(25)]), None, seed=0)
    assert found.verdict == "keep the base"
    assert found.base_accuracy == pytest.approx(0.25)
    assert found.gain is None
    assert found.to_json()["ci95"] is None


def test_the_same_seed_gives_the_same_json(make_table):
    table = make_table(answers(18), [answers(22)])
    first, second = (confirm(table, Knockout(0), seed=7).to_json() for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    assert set(first) >= {"n", "base_accuracy", "accuracy", "gain", "ci95", "p_value", "verdict"}


def test_a_knockout_that_was_never_scored_is_an_error(make_table):
    with pytest.raises(TaloError, match="layer 5"):
        confirm(make_table(answers(3), [answers(4)]), Knockout(5), seed=0)


def test_a_table_without_items_is_an_error(make_table):
    empty = make_table(answers(3), [answers(4)]).take_items([])
    with pytest.raises(TaloError, match="no item in common"):
        confirm(empty, Knockout(0), seed=0)


def test_without_any_effect_at_most_a_fortieth_of_runs_is_confirmed(make_table):
    """5,000 simulated tasks whose knockout changes answers at random: 2.5 % on each side."""
    n, runs = 60, 5000
    changes = np.random.default_rng(0).multinomial(n, [0.08, 0.08, 0.84], size=runs)
    outcomes, times = np.unique(changes, axis=0, return_counts=True)
    verdicts: dict[str, int] = {}
    for (right, wrong, same), weight in zip(outcomes, times, strict=True):
        base = [0] * right + [1] * (n - right)
        after = [1] * right + [0] * wrong + [1] * same
        verdict = confirm(make_table(base, [after]), Knockout(0), seed=0).verdict
        verdicts[verdict] = verdicts.get(verdict, 0) + int(weight)
    assert 0 < verdicts["confirmed"] / runs <= 0.03
    assert 0 < verdicts["harmful"] / runs <= 0.03


def test_an_interval_and_an_exact_test_that_disagree_are_said_to_be_at_the_edge(make_table):
    judged = confirm(make_table([0] * 20, [[1] * 20]), Knockout(0), seed=0)

    def edge(ci95, p_value):
        return " ".join(dataclasses.replace(judged, ci95=ci95, p_value=p_value).caveats)

    assert edge((0.01, 0.09), 0.012) == ""
    assert edge((-0.01, 0.09), 0.12) == ""
    excludes = "The paired interval excludes 0 and the exact test says p 0.065"
    assert edge((0.01, 0.2), 0.065).startswith(excludes)
    assert edge((-0.01, 0.2), 0.04).startswith("The paired interval includes 0")


@pytest.mark.parametrize(
    ("unread", "gained", "caveats"),
    [(10, 15, 1), (8, 15, 1), (7, 15, 0), (0, 15, 0), (10, -5, 0), (10, 0, 0)],
)
def test_a_gain_in_answering_at_all_is_called_one(make_table, unread, gained, caveats):
    """The base answers 10 of 40, and of its 30 wrong answers some could not be read."""
    table = make_table(answers(10), [answers(10 + gained)])
    table.parsed[0, 10 : 10 + unread] = False
    table.gold[::2] = 1
    found = confirm(table, Knockout(0), seed=0)
    assert len(found.caveats) == caveats
    for caveat in found.caveats:
        assert f"Of 15 answers that turned right, {unread} gave none of the choices" in caveat
        assert "the same everywhere gets 50 %" in caveat


def test_a_result_that_did_not_count_unread_answers_has_no_word_on_them(make_table):
    found = confirm(make_table(answers(10), [answers(25)]), Knockout(0), seed=0)
    old = dataclasses.replace(found, turned_right=0, turned_right_unread=0)
    assert old.caveats == ()
    assert not old.no_better_than_constant


@pytest.mark.parametrize(
    ("right", "unread", "constant"),
    [(20, 40, True), (26, 40, True), (27, 40, False), (20, 5, False)],
)
def test_answers_worth_no_more_than_one_choice_everywhere_are_told(
    make_table, right, unread, constant
):
    """Of 40 guesses among two choices 26 or more are right with 4 %, 27 or more with 2 %."""
    table = make_table(answers(0), [answers(right)])
    table.gold[::2] = 1
    table.parsed[0, :unread] = False
    found = confirm(table, Knockout(0), seed=0)
    assert (found.constant_accuracy, found.verdict) == (0.5, "confirmed")
    assert found.no_better_than_constant == constant


def test_the_sentence_names_its_interval_and_its_test(make_table):
    table = make_table([0] * 20 + [1] * 20, [[1] * 40])
    said = confirm(table, Knockout(0), seed=0).sentence
    assert "+50.0 points on 40 unseen items (paired 95 % interval +" in said
    assert "exact p < 0.001): the gain is confirmed." in said
