"""Generated answers, held against stock `generate` on weights zeroed by hand."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import pytest
import torch
from PIL import Image
from probe_models import loaded_llama
from tiny_models import byte_tokenizer

from talo_export.errors import TaloError
from talo_export.evidence.power import power_of
from talo_export.evidence.selection import select
from talo_export.knockout import Knockout
from talo_export.probing.answers import spoken
from talo_export.probing.encoding import encode
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.runs.meaning import evidence_of
from talo_export.tasks.item import ItemImage


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


THINKS = "{% for turn in messages %}{{ turn.content }}\n{% endfor %}<think>\n"


def test_a_budget_that_ends_in_the_thoughts_gives_a_result_that_says_so(make_items):
    loaded = loaded_llama(tokenizer=byte_tokenizer(THINKS))
    knockouts = tuple(Knockout(layer) for layer in range(4))
    table = sweep(loaded, make_items(6), (None, *knockouts), Scoring(max_new_tokens=4)).table
    assert all(answer.startswith("<think>") for answer in table.answers[0])
    assert not table.parsed.any()
    selection = select(table)
    assert selection.knockout is None
    assert "Nothing could be read in 6 of 6 answers" in selection.reason
    evidence = evidence_of(
        table,
        selection,
        None,
        None,
        power_of(0),
        scope="attention",
        fill="zero",
        seed=0,
        by_letter=True,
    )
    assert evidence.null is None


def test_choices_compared_inside_of_thoughts_are_warned_of(make_items):
    item = make_items(1)[0]
    thinking = loaded_llama(2, byte_tokenizer(THINKS))
    with pytest.warns(UserWarning, match="ends with <think>.*first thought.*--scoring generate"):
        encode(thinking, item, Scoring("likelihood"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(thinking, item, Scoring())
        encode(loaded_llama(2), item, Scoring("likelihood"))


def test_special_tokens_that_mark_thoughts_are_read_and_others_are_not():
    tokenizer = byte_tokenizer()
    marks = ["<|channel|>", "<|message|>", "<|end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", *marks]})
    said = "<|channel|>analysis<|message|>A?<|end|><|channel|>final<|message|>B</s>"
    tokens = tokenizer(said, add_special_tokens=False)["input_ids"]
    assert spoken(tokenizer, [1], tokens) == (
        "<|channel|>analysis<|message|>A?<|channel|>final<|message|>B"
    )
    tokens = tokenizer("B<|end|></s>", add_special_tokens=False)["input_ids"]
    assert spoken(tokenizer, [1], tokens) == "B"


def test_a_picture_that_is_cut_short_is_named_by_its_item(vision_model, make_items):
    item = make_items(1, pictures=True)[0]
    noise = io.BytesIO()
    Image.effect_noise((64, 48), 50).save(noise, "PNG")
    cut = ItemImage(name="cut.png", data=noise.getvalue()[:1000])
    with pytest.raises(TaloError, match=r"item 'item-0': the image cut\.png is not an image that"):
        encode(vision_model, replace(item, images=(cut,)), Scoring())
