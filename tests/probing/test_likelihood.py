"""Choices compared by log-likelihood, held against a calculation by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from talo_export.errors import UsageError
from talo_export.knockout import Knockout
from talo_export.models.switching import knocked_out
from talo_export.probing.answers import by_likelihood
from talo_export.probing.encoding import encode
from talo_export.probing.engines import naive
from talo_export.probing.settings import Scoring


def answer_alone(loaded, encoded, scoring):
    with torch.no_grad():
        return naive.answer_alone(loaded, encoded, scoring)[0]


def log_probabilities(loaded, text, *, special):
    ids = loaded.tokenizer(text, return_tensors="pt", add_special_tokens=special)["input_ids"]
    with torch.no_grad():
        return ids[0], torch.log_softmax(loaded.model(input_ids=ids).logits[0], dim=-1)


def test_letter_scores_are_the_log_probabilities_after_the_template(text_model, make_items):
    item = make_items(1)[0]
    outcome = answer_alone(
        text_model, encode(text_model, item, Scoring("likelihood")), Scoring("likelihood")
    )
    text = (
        f"<s>user: {item.question}\nA. red\nB. dark green\nC. blue\n"
        "Answer with the option's letter from the given choices directly.\nassistant: "
    )
    _, rows = log_probabilities(text_model, text, special=False)
    by_hand = [float(rows[-1, text_model.tokenizer.convert_tokens_to_ids(x)]) for x in "ABC"]
    assert outcome.scores == pytest.approx(by_hand, abs=1e-5)
    assert outcome.choice == by_hand.index(max(by_hand))
    assert outcome.correct == (outcome.choice == item.answer)
    assert outcome.answer == item.choices[outcome.choice]


def test_the_vocabulary_is_computed_where_logits_are_read_alone(text_model, make_items):
    item, scoring = make_items(1)[0], Scoring("likelihood")
    positions = []
    head = text_model.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, args, output: positions.append(output.shape))
    answer_alone(text_model, encode(text_model, item, scoring), scoring)
    handle.remove()
    assert [shape[1] for shape in positions] == [1]


@pytest.mark.parametrize(
    ("normalise", "divisor"), [("none", lambda text: 1), ("tokens", lambda text: len(text) + 1),
                               ("characters", len)]
)  # fmt: skip
def test_choice_texts_are_summed_after_one_space(text_model, make_items, normalise, divisor):
    item = make_items(2, verbatim=True)[1]
    scoring = Scoring("likelihood", normalise=normalise)
    outcome = answer_alone(text_model, encode(text_model, item, scoring), scoring)
    by_hand = []
    for choice in item.choices:
        ids, rows = log_probabilities(text_model, f"{item.prompt} {choice}", special=True)
        start = len(ids) - len(choice) - 1
        total = sum(float(rows[at - 1, ids[at]]) for at in range(start, len(ids)))
        by_hand.append(total / divisor(choice))
    # The space is the first token of every choice alike: the prompt takes it over, and no
    # difference between choices changes.
    gaps = [score - outcome.scores[0] for score in outcome.scores]
    if normalise == "none":
        assert gaps == pytest.approx([s - by_hand[0] for s in by_hand], abs=1e-4)
    assert len(set(outcome.scores)) == 3


def test_a_nan_is_an_outcome_of_its_own_and_no_answer(text_model, make_items):
    item = make_items(1)[0]
    scoring = Scoring("likelihood")
    encoded = encode(text_model, item, scoring)
    weight = text_model.model.model.norm.weight
    before = weight.clone()
    try:
        weight.fill_(float("nan"))
        outcome = answer_alone(text_model, encoded, scoring)
        spoken = answer_alone(text_model, encoded, Scoring(max_new_tokens=2))
    finally:
        weight.copy_(before)
    for broken in (outcome, spoken):
        assert not broken.finite
        assert not broken.correct
        assert not broken.parsed
        assert broken.choice is None
        assert broken.scores is None


def test_a_knockout_changes_the_scores_and_leaves_the_model_as_it_was(text_model, make_items):
    scoring = Scoring("likelihood")
    encoded = encode(text_model, make_items(1)[0], scoring)
    before = answer_alone(text_model, encoded, scoring)
    with knocked_out(text_model.model, text_model.decoder, Knockout(0)):
        during = answer_alone(text_model, encoded, scoring)
    assert during.scores != before.scores
    assert answer_alone(text_model, encoded, scoring) == before


def test_options_of_likelihood_make_no_sense_when_generating():
    with pytest.raises(UsageError, match="scoring likelihood"):
        Scoring("generate", normalise="tokens")


def test_a_limit_on_tokens_makes_no_sense_where_none_are_generated():
    with pytest.raises(UsageError, match="scoring generate"):
        Scoring("likelihood", max_new_tokens=4)


def test_a_choice_that_repeats_the_right_text_is_as_right(text_model, make_items):
    item = replace(make_items(1)[0], choices=("same", "same "), answer=1)
    scoring = Scoring("likelihood", choice_text=True, normalise="characters")
    encoded = encode(text_model, item, scoring)
    outcome = by_likelihood(encoded, [-1.0, -9.0], scoring.normalise)
    assert (outcome.choice, outcome.correct) == (0, True)
    other = replace(encoded, item=replace(item, choices=("same", "Same")))
    assert not by_likelihood(other, [-1.0, -9.0], scoring.normalise).correct
