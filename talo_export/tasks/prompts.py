"""How an item is put to a model: the user's text and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from talo_export.errors import UsageError
from talo_export.tasks.item import LETTERS, Item, ItemImage

Style = Literal["lmms-eval", "vlmevalkit"]
"""Whose wording: lmms-eval's (the default) or VLMEvalKit's."""

LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."
SHORT_INSTRUCTION = "Answer the question using a single word or phrase."


@dataclass(frozen=True)
class Prompt:
    """What one item shows a model.

    `verbatim` text goes to the tokenizer as it stands; other text is the user's turn of the
    model's chat template, after its `images`. `lettered` says that the choices stand in the text
    under letters and a letter is the answer; otherwise the answer is a choice's own text.
    """

    text: str
    verbatim: bool
    images: tuple[ItemImage, ...]
    lettered: bool


def render(item: Item, *, style: str = "lmms-eval") -> Prompt:
    """The prompt of an item in the wording of `style`; `prompt` items are the same in each.

    Raises: UsageError for an unknown style.
    """
    if style not in get_args(Style):
        raise UsageError(f"There is no prompt style '{style}': use {' or '.join(get_args(Style))}.")
    if item.prompt is not None:
        return Prompt(text=item.prompt, verbatim=True, images=item.images, lettered=False)
    lettered = bool(item.choices) and item.lettered
    text = dict(item.wordings).get(style)
    if text is None:
        text = _vlmevalkit(item, lettered) if style == "vlmevalkit" else _lmms_eval(item, lettered)
    return Prompt(text=text, verbatim=False, images=item.images, lettered=lettered)


def lettered_choices(choices: Sequence[str]) -> str:
    """The choices, a line each: `A. first`."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))


def _lmms_eval(item: Item, lettered: bool) -> str:
    lines = [item.question or ""]
    if item.hint:
        lines.insert(0, f"Context: {item.hint}")
    if lettered:
        lines += [lettered_choices(item.choices), LETTER_INSTRUCTION]
    else:
        lines.append(SHORT_INSTRUCTION)
    return "\n".join(lines)


def _vlmevalkit(item: Item, lettered: bool) -> str:
    lines = [f"Question: {item.question}"]
    if item.hint:
        lines.insert(0, f"Hint: {item.hint}")
    if lettered:
        lines += ["Options:", lettered_choices(item.choices)]
        lines.append("Please select the correct answer from the options above. ")
    else:
        lines.append(SHORT_INSTRUCTION)
    return "\n".join(lines) + ("\n" if lettered else "")
