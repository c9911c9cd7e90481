"""Generated answers, held against stock `generate` on weights zeroed by hand."""

from __future__ import annotations

import pytest
import torch

from talo_export.knockout import Knockout
from talo_export.probing.encoding import encode
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep


def said(loaded, item, scoring):
    encoded = encode(loaded, item, scoring)
    tokens = loaded.model.generate(
        **encoded.inputs, max_new_tokens=scoring.max_new_tokens, do_sample=False, pad_token_id=0
    )
    return loaded.tokenizer.decode(tokens[0, encoded.length :], skip_special_tokens=True).strip()


@pytest.mark.parametrize("pictures", [False, True])
def test_every_variant_says_what_the_stock_model_with_zeroed_weights_says(
    text_model, vision_model, make_items, pictures
):
    loaded = vision_model if pictures else text_model
    items = make_items(2, pictures=pictures)
    scoring = Scoring(max_new_tokens=5)
    table = sweep(loaded, items, (None, Knockout(1)), scoring).table
    layer = loaded.model.get_submodule(loaded.decoder.layers[1].path)
    projections = list(layer.self_attn.parameters())
    stock = [said(loaded, item, scoring) for item in items]
    originals = [p.clone() for p in projections]
    for p in projections:
        p.zero_()
    cut = [said(loaded, item, scoring) for item in items]
    for p, original in zip(projections, originals, strict=True):
        p.copy_(original)
    assert list(table.answers[0]) == stock
    assert list(table.answers[1]) == cut
    assert stock != cut


def test_letters_are_scored_at_the_first_generated_position(text_model, make_items):
    items = make_items(3)
    spoken = sweep(text_model, items, (None,), Scoring(max_new_tokens=1)).table
    compared = sweep(text_model, items, (None,), Scoring("likelihood")).table
    assert spoken.scores == pytest.approx(compared.scores, abs=1e-5)


def test_an_answer_that_names_no_choice_is_unparsed_and_wrong(text_model, make_items):
    table = sweep(text_model, make_items(3), (None,), Scoring(max_new_tokens=3)).table
    unparsed = ~table.parsed[0]
    assert unparsed.any()
    assert not table.correct[0][unparsed].any()
    assert (table.choice[0][unparsed] == -1).all()


def test_sampling_defaults_of_a_model_are_not_followed(text_model, make_items):
    config = text_model.model.generation_config
    config.do_sample, config.temperature = True, 5.0
    try:
        runs = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            table = sweep(text_model, make_items(2), (None,), Scoring(max_new_tokens=6)).table
            runs.append(table.answers)
    finally:
        config.do_sample, config.temperature = False, 1.0
    assert runs[0] == runs[1]
