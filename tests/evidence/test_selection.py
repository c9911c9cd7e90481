"""Which layer a probing table speaks for."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.criteria import CRITERIA
from talo_export.evidence.selection import select
from talo_export.knockout import Knockout

BASE = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
ONE_BETTER = [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
TWO_BETTER = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
WORSE = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def scores_with_margins(*margins):
    """(V, N, 2) scores whose margins are these numbers or rows, the right choice first."""
    rows = [np.broadcast_to(np.asarray(margin, dtype=float), (10,)) for margin in margins]
    return np.stack([np.stack([row, np.zeros(10)], axis=1) for row in rows])


def test_the_layer_with_the_largest_accuracy_gain_is_chosen(make_table):
    chosen = select(make_table(BASE, [ONE_BETTER, TWO_BETTER, WORSE]), criterion="accuracy")
    assert chosen.knockout == Knockout(1)
    assert chosen.gain == pytest.approx(0.2)
    assert chosen.gains == pytest.approx((0.1, 0.2, -0.1))
    assert chosen.accuracy == pytest.approx((0.3, 0.4, 0.1))
    assert chosen.base_accuracy == pytest.approx(0.2)


@pytest.mark.parametrize("criterion", list(CRITERIA))
def test_the_base_is_kept_where_every_layer_is_like_it(make_table, criterion):
    table = make_table(BASE, [BASE, BASE], scores=scores_with_margins(1, 1, 1))
    chosen = select(table, criterion=criterion)
    assert chosen.knockout is None
    assert chosen.gain is None
    assert "No layer" in chosen.reason


def test_the_base_is_kept_where_every_layer_loses(make_table):
    assert select(make_table(BASE, [WORSE, WORSE]), criterion="accuracy").knockout is None


def test_a_layer_must_exceed_the_minimum_gain_not_just_reach_it(make_table):
    table = make_table(BASE, [ONE_BETTER])
    assert select(table, criterion="accuracy", min_gain=0.1).knockout is None
    assert select(table, criterion="accuracy", min_gain=0.09).knockout == Knockout(0)


def test_a_tie_in_accuracy_goes_to_the_larger_margin_whatever_the_index(make_table):
    scores = scores_with_margins(0.0, 0.2, 0.9, 0.5)
    table = make_table(BASE, [ONE_BETTER, ONE_BETTER, ONE_BETTER], scores=scores)
    chosen = select(table, criterion="accuracy")
    assert chosen.knockout == Knockout(1)
    assert "margin" in chosen.reason


def test_a_tie_in_margin_too_goes_to_the_larger_probability(make_table):
    # Same mean margin; a spread-out one is worth less probability than an even one.
    uneven = [4.0] * 5 + [-2.0] * 5
    scores = scores_with_margins(0.0, uneven, 1.0)
    table = make_table(BASE, [ONE_BETTER, ONE_BETTER], scores=scores)
    assert select(table, criterion="accuracy").knockout == Knockout(1)


def test_without_margins_a_tie_goes_to_the_smaller_index_and_the_reason_says_so(make_table):
    chosen = select(make_table(BASE, [WORSE, ONE_BETTER, ONE_BETTER]), criterion="accuracy")
    assert chosen.knockout == Knockout(1)
    assert "index" in chosen.reason


def test_ties_do_not_depend_on_the_order_of_the_items(make_table):
    rng = np.random.default_rng(0)
    margins = rng.normal(size=10)
    scores = scores_with_margins(0.0, margins, margins[::-1])
    table = make_table(BASE, [ONE_BETTER, ONE_BETTER], scores=scores)
    picks = {
        select(table.take_items(rng.permutation(10)), criterion="accuracy").knockout
        for _ in range(20)
    }
    assert len(picks) == 1


def test_a_layer_with_broken_logits_is_never_chosen_and_is_counted(make_table):
    table = make_table(BASE, [ONE_BETTER, TWO_BETTER])
    finite = table.finite.copy()
    finite[2, 9] = False
    chosen = select(dataclasses.replace(table, finite=finite), criterion="accuracy")
    assert chosen.knockout == Knockout(0)
    assert chosen.non_finite == (0, 1)
    assert "NaN" in chosen.reason


def test_an_answer_read_from_broken_logits_is_not_right(make_table):
    table = make_table(BASE, [TWO_BETTER])
    finite = table.finite.copy()
    finite[1] = False
    assert select(dataclasses.replace(table, finite=finite)).accuracy == (0.0,)


def test_a_base_with_broken_logits_is_an_error(make_table):
    table = make_table(BASE, [ONE_BETTER])
    finite = table.finite.copy()
    finite[0, :3] = False
    with pytest.raises(TaloError, match="3 of 10 items"):
        select(dataclasses.replace(table, finite=finite))


def test_a_layer_that_saw_only_some_items_is_not_chosen_but_its_gain_is_reported(make_table):
    table = make_table(BASE, [ONE_BETTER, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]])
    scored = table.scored.copy()
    scored[2, 5:] = False
    chosen = select(dataclasses.replace(table, scored=scored), criterion="accuracy")
    assert chosen.knockout == Knockout(0)
    assert chosen.gains[1] == pytest.approx(0.6)


def test_only_the_scope_and_fill_asked_for_compete(make_table):
    knockouts = [Knockout(0), Knockout(0, "mlp"), Knockout(0, "attention", "uniform")]
    table = make_table(BASE, [WORSE, TWO_BETTER, ONE_BETTER], knockouts=knockouts)
    assert select(table, criterion="accuracy").knockout is None
    assert select(table, criterion="accuracy", fill="uniform").knockout == knockouts[2]
    assert select(table, criterion="accuracy", scope="mlp").knockout == knockouts[1]
    with pytest.raises(TaloError, match="layer"):
        select(table, scope="layer")


def test_layers_that_cannot_be_knocked_out_leave_a_gap_in_layer_order(make_table):
    table = make_table(BASE, [ONE_BETTER, TWO_BETTER], knockouts=[Knockout(1), Knockout(3)])
    chosen = select(table, criterion="accuracy", n_layers=6)
    assert chosen.gains == (None, pytest.approx(0.1), None, pytest.approx(0.2), None, None)
    assert chosen.gain == pytest.approx(0.2)


def test_the_probability_criterion_prefers_a_steady_gain_that_accuracy_cannot_see(make_table):
    scores = scores_with_margins(-1.0, -0.9, -0.2)
    table = make_table(BASE, [ONE_BETTER, BASE], scores=scores)
    assert select(table, criterion="accuracy").knockout == Knockout(0)
    assert select(table, criterion="probability").knockout == Knockout(1)
    assert select(table, criterion="margin").knockout == Knockout(1)


def test_a_t_criterion_refuses_a_gain_that_two_items_make(make_table):
    scores = scores_with_margins(0.0, [6.0] + [-0.1] * 9, [0.3] * 5 + [0.1] * 5)
    table = make_table(BASE, [TWO_BETTER, BASE], scores=scores)
    assert select(table, criterion="margin").knockout == Knockout(0)
    assert select(table, criterion="margin-t").knockout == Knockout(1)


def test_a_score_criterion_on_generated_text_is_a_usage_error(make_table):
    with pytest.raises(UsageError, match="likelihood"):
        select(make_table(BASE, [ONE_BETTER]), criterion="margin")


def test_by_default_margins_choose_where_choices_were_scored_and_accuracy_elsewhere(
    make_table,
):
    assert select(make_table(BASE, [ONE_BETTER])).criterion == "accuracy"
    table = make_table(BASE, [ONE_BETTER], scores=scores_with_margins(0.0, 0.5))
    assert select(table).criterion == "kept-t"
    holes = table.scores.copy()
    holes[:, 3] = np.nan
    assert select(dataclasses.replace(table, scores=holes)).criterion == "accuracy"


def test_an_unknown_criterion_names_those_there_are(make_table):
    with pytest.raises(UsageError, match="probability-t"):
        select(make_table(BASE, [ONE_BETTER]), criterion="luck")


def test_the_json_has_one_entry_a_layer_and_null_where_only_text_was_generated(make_table):
    table = make_table(BASE, [ONE_BETTER, WORSE])
    parsed = table.parsed.copy()
    parsed[2, :4] = False
    found = json.loads(json.dumps(select(dataclasses.replace(table, parsed=parsed)).to_json()))
    assert found["n"] == 10
    assert len(found["gains"]) == len(found["accuracy"]) == 2
    assert found["margin_gains"] is None
    assert found["probability_gains"] is None
    assert found["unparsed"] == [0, 4]


def test_by_default_a_margin_that_surely_gains_is_enough_where_accuracy_does_not_fall(make_table):
    margins = np.linspace(0.4, 0.6, 10)
    table = make_table(BASE, [BASE], scores=scores_with_margins(0.0, margins))
    chosen = select(table)
    assert chosen.knockout == Knockout(0)
    assert "leaves accuracy as it is" in chosen.reason
    assert select(table, min_gain=0.0).knockout is None
    assert select(table, criterion="gain-t").knockout is None


def test_by_default_a_layer_that_loses_a_single_answer_keeps_the_base(make_table):
    margins = np.linspace(0.4, 0.6, 10)
    table = make_table(BASE, [WORSE], scores=scores_with_margins(0.0, margins))
    assert select(table, criterion="margin-t").knockout == Knockout(0)
    assert select(table).knockout is None


def test_by_default_a_gain_in_accuracy_within_the_margins_noise_keeps_the_base(make_table):
    margins = np.array([3.0, -2.5] * 5)
    table = make_table(BASE, [TWO_BETTER], scores=scores_with_margins(0.0, margins))
    assert select(table, criterion="accuracy").knockout == Knockout(0)
    assert select(table).knockout is None


@pytest.mark.parametrize("criterion", ["auto", "margin", "probability-t", "gain-t", "accuracy"])
def test_the_minimum_gain_is_one_of_accuracy_under_every_criterion(make_table, criterion):
    margins = np.linspace(0.4, 0.6, 10)
    table = make_table(BASE, [TWO_BETTER], scores=scores_with_margins(0.0, margins))
    assert select(table, criterion=criterion).knockout == Knockout(0)
    assert select(table, criterion=criterion, min_gain=0.19).knockout == Knockout(0)
    assert select(table, criterion=criterion, min_gain=0.2).knockout is None


def unreadable(table, variant, count):
    """The table with the first answers of one variant unread."""
    parsed = table.parsed.copy()
    parsed[table.row(variant), :count] = False
    return dataclasses.replace(table, parsed=parsed)


def test_where_most_answers_of_the_base_cannot_be_read_the_reason_says_so(make_table):
    nothing = [0] * 10
    chosen = select(unreadable(make_table(nothing, [nothing]), None, 10), criterion="accuracy")
    assert chosen.knockout is None
    assert chosen.unreadable
    assert chosen.reason.startswith("Nothing could be read in 10 of 10 answers of the unmodified")
    assert "--max-new-tokens" in chosen.reason


def test_a_few_answers_that_cannot_be_read_change_no_reason(make_table):
    chosen = select(unreadable(make_table(BASE, [BASE]), None, 4), criterion="accuracy")
    assert (chosen.unreadable, chosen.base_unparsed) == (False, 4)
    assert chosen.reason.startswith("No layer's knockout")


def test_probabilities_of_answers_that_cannot_be_read_choose_no_layer(make_table):
    table = make_table(BASE, [BASE], scores=scores_with_margins(0.0, 2.0))
    assert select(table, criterion="margin").knockout == Knockout(0)
    assert select(unreadable(table, Knockout(0), 8), criterion="margin").knockout is None


def test_a_layer_that_makes_answers_readable_may_be_chosen(make_table):
    table = unreadable(make_table([0] * 10, [TWO_BETTER]), None, 10)
    assert select(table, criterion="accuracy").knockout == Knockout(0)
