"""From an item to a model's inputs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from probe_models import byte_tokenizer, loaded_llama, picture

from talo_export.errors import TaloError
from talo_export.probing.encoding import ItemTooLongError, encode
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item

LIKELIHOOD = Scoring(kind="likelihood")


def shown(loaded, encoded):
    return loaded.tokenizer.decode(encoded.inputs["input_ids"][0])


def test_a_templated_question_has_one_beginning_of_text(text_model, make_items):
    encoded = encode(text_model, make_items(1)[0], LIKELIHOOD)
    assert shown(text_model, encoded).startswith("<s>user: Which one")
    assert shown(text_model, encoded).endswith("assistant: ")
    assert int((encoded.inputs["input_ids"] == 1).sum()) == 1


def test_a_verbatim_prompt_gets_the_tokenizers_own_special_tokens_and_no_template(
    text_model, make_items
):
    item = make_items(1, verbatim=True)[0]
    encoded = encode(text_model, item, LIKELIHOOD)
    assert shown(text_model, encoded) == f"<s>{item.prompt}"


def test_a_verbatim_prompt_that_brings_its_beginning_of_text_gets_no_second_one(text_model):
    item = Item(id="x", group="x", prompt="<s>Sky:", choices=("blue", "red"), answer=0)
    encoded = encode(text_model, item, LIKELIHOOD)
    assert int((encoded.inputs["input_ids"] == 1).sum()) == 1


def test_a_model_without_template_sees_the_question_itself(base_model, make_items):
    encoded = encode(base_model, make_items(1)[0], LIKELIHOOD)
    assert shown(base_model, encoded).startswith("<s>Which one")


def test_a_system_message_comes_first(text_model, make_items):
    encoded = encode(text_model, make_items(1)[0], Scoring(system="Be brief."))
    assert shown(text_model, encoded).startswith("<s>system: Be brief.\nuser: ")


def test_letters_follow_a_template_bare_and_a_plain_prompt_after_a_space(
    text_model, base_model, make_items
):
    item = make_items(1)[0]
    templated = encode(text_model, item, LIKELIHOOD).continuations
    plain = encode(base_model, item, LIKELIHOOD)
    assert [text_model.tokenizer.decode(ids) for ids in templated] == ["A", "B", "C"]
    # A byte tokenizer spells the space: it is the same for every letter, hence part of the prompt.
    assert shown(base_model, plain).endswith(" ")
    assert [base_model.tokenizer.decode(ids) for ids in plain.continuations] == ["A", "B", "C"]


def test_verbatim_prompts_are_followed_by_one_space_and_the_choices_text(text_model, make_items):
    encoded = encode(text_model, make_items(1, verbatim=True)[0], LIKELIHOOD)
    whole = [shown(text_model, encoded) + text_model.tokenizer.decode(ids)
             for ids in encoded.continuations]  # fmt: skip
    assert [text.rpartition("0.")[2] for text in whole] == [" red", " dark green", " blue"]


def test_a_token_that_spans_prompt_and_choice_replaces_the_prompts_last_token():
    tokenizer = byte_tokenizer(merges=[("Ġ", "r"), ("Ġr", "e")])
    loaded = loaded_llama(tokenizer=tokenizer, vocab_size=len(tokenizer))
    item = Item(id="x", group="x", question="Q", choices=("red", "blue"), answer=0)
    encoded = encode(loaded, item, Scoring(kind="likelihood", choice_text=True))
    pieces = [tokenizer.convert_ids_to_tokens(ids) for ids in encoded.continuations]
    assert pieces == [["Ġre", "d"], ["Ġ", "b", "l", "u", "e"]]
    assert shown(loaded, encoded).endswith("assistant:")


def test_a_vision_model_gets_pixels_and_its_image_tokens(vision_model, make_items):
    encoded = encode(vision_model, make_items(1, pictures=True)[0], LIKELIHOOD)
    assert encoded.inputs["pixel_values"].shape == (1, 3, 16, 16)
    assert int((encoded.inputs["input_ids"] == 3).sum()) == 4


def test_a_vision_model_takes_an_item_without_picture(vision_model, make_items):
    encoded = encode(vision_model, make_items(1)[0], LIKELIHOOD)
    assert "pixel_values" not in encoded.inputs


def test_a_verbatim_prompt_with_a_picture_is_given_its_image_token(vision_model):
    item = Item(id="x", group="x", prompt="Colour:", choices=("a", "b"), answer=0,
                images=(picture(1),))  # fmt: skip
    encoded = encode(vision_model, item, LIKELIHOOD)
    assert int((encoded.inputs["input_ids"] == 3).sum()) == 4


def test_extended_inputs_keep_ids_and_mask_aligned(text_model, make_items):
    encoded = encode(text_model, make_items(1)[0], LIKELIHOOD)
    longer = encoded.extended([7, 8])
    assert longer["input_ids"][0, -2:].tolist() == [7, 8]
    assert longer["attention_mask"].shape == longer["input_ids"].shape
    assert bool(longer["attention_mask"].all())


def test_kinds_of_tokens_are_extended_as_text(text_model, make_items):
    encoded = encode(text_model, make_items(1)[0], LIKELIHOOD)
    kinds = torch.full_like(encoded.inputs["input_ids"], 1)
    mixed = dataclasses.replace(encoded, inputs={**encoded.inputs, "token_type_ids": kinds})
    assert mixed.extended([7])["token_type_ids"][0, -2:].tolist() == [1, 0]


def test_letters_the_tokenizer_cannot_tell_apart_are_refused(text_model, base_model):
    # The first letter is the only choice: with one row there is nothing that parts.
    item = Item(id="x", group="x", question="Q", choices=("red",), answer=0)
    with pytest.raises(TaloError, match="'x': the tokenizer cannot tell its letters apart"):
        encode(text_model, item, LIKELIHOOD)


def test_an_item_longer_than_the_context_is_named(make_items):
    loaded = loaded_llama(max_position_embeddings=60)
    with pytest.raises(ItemTooLongError, match=r"'item-0' takes \d+ tokens .* room for 60"):
        encode(loaded, make_items(1)[0], LIKELIHOOD)


def test_room_for_the_generated_answer_counts_too(make_items):
    item = make_items(1)[0]
    length = encode(loaded_llama(), item, LIKELIHOOD).length
    loaded = loaded_llama(max_position_embeddings=length + 4)
    encode(loaded, item, Scoring(max_new_tokens=4))
    with pytest.raises(ItemTooLongError):
        encode(loaded, item, Scoring(max_new_tokens=5))


def test_a_picture_for_a_text_model_is_refused(text_model, make_items):
    with pytest.raises(TaloError, match=r"'item-0' has a picture, but .* reads text only"):
        encode(text_model, make_items(1, pictures=True)[0], LIKELIHOOD)


def test_a_free_form_item_has_no_likelihoods_to_compare(text_model):
    item = Item(id="open", group="x", question="Why?", accepted=("because",))
    with pytest.raises(TaloError, match="'open' has no choices"):
        encode(text_model, item, LIKELIHOOD)
