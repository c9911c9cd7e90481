"""Prompts: the exact text each style shows."""

from __future__ import annotations

import pytest

from talo_export.errors import UsageError
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import Prompt, render

CHOICE = Item(id="i", group="i", question="Which?", choices=("x", "y"), answer=0, hint="Look.")
FREE = Item(id="i", group="i", question="How many?", accepted=("4",))
VERBATIM = Item(id="i", group="i", prompt="Q: 2+2\nA:", choices=("3", "4"), answer=1)


def test_lettered_choices_end_with_the_letter_instruction() -> None:
    assert render(CHOICE) == Prompt(
        text="Context: Look.\nWhich?\nA. x\nB. y\n"
        "Answer with the option's letter from the given choices directly.",
        verbatim=False,
        images=(),
        lettered=True,
    )


def test_vlmevalkit_has_its_own_wording() -> None:
    assert render(CHOICE, style="vlmevalkit").text == (
        "Hint: Look.\nQuestion: Which?\nOptions:\nA. x\nB. y\n"
        "Please select the correct answer from the options above. \n"
    )


def test_free_form_asks_for_a_short_answer() -> None:
    prompt = render(FREE)
    assert prompt.text == "How many?\nAnswer the question using a single word or phrase."
    assert not prompt.lettered


@pytest.mark.parametrize("style", ["lmms-eval", "vlmevalkit"])
def test_a_prompt_item_is_shown_as_it_stands(style: str) -> None:
    prompt = render(VERBATIM, style=style)
    assert prompt == Prompt(text="Q: 2+2\nA:", verbatim=True, images=(), lettered=False)


def test_an_unknown_style_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'helm'"):
        render(CHOICE, style="helm")
