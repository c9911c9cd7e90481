"""Answered examples reach the model: as turns of its chat, or before a prompt without one."""

from __future__ import annotations

from dataclasses import replace

from probe_models import picture

from talo_export.probing.encoding import choice_endings, encode, prompt_text
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import render


def item(key: str, answer: int, **rest) -> Item:
    return Item(id=key, group=key, question=f"{key}?", choices=("x", "y"), answer=answer, **rest)


def test_examples_are_turns_before_the_question(text_model) -> None:
    asked = replace(item("asked", 0), shots=(item("shown", 1),))
    text, templated = prompt_text(text_model, asked, render(asked), None)
    assert templated
    alone, _ = prompt_text(text_model, item("asked", 0), render(item("asked", 0)), None)
    assert text.index("shown?") < text.index("B", text.index("directly.")) < text.index("asked?")
    assert text.endswith(alone[alone.index("asked?") :])


def test_examples_stand_before_the_prompt_of_a_model_without_a_chat(base_model) -> None:
    asked = replace(item("asked", 0), shots=(item("shown", 1),))
    text, templated = prompt_text(base_model, asked, render(asked), None)
    assert not templated
    assert text.startswith("shown?\nA. x\nB. y\n")
    assert "directly.\nB\n\nasked?" in text


def test_every_picture_of_examples_and_item_is_given_to_the_model(vision_model) -> None:
    shown = item("shown", 1, images=(picture(1),))
    asked = replace(item("asked", 0, images=(picture(2),)), shots=(shown,))
    alone = encode(vision_model, replace(asked, shots=()), Scoring())
    both = encode(vision_model, asked, Scoring())
    assert both.inputs["pixel_values"].shape[0] == 2 * alone.inputs["pixel_values"].shape[0]
    assert both.length > 2 * alone.length - 30


def test_an_items_own_delimiter_parts_prompt_and_choice() -> None:
    verbatim = replace(item("asked", 0), question=None, prompt="Q", delimiter="_")
    assert choice_endings(verbatim, by_letter=False, templated=False) == ("_x", "_y")
