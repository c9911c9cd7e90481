"""How an item is put to a model: the user's text and the pictures, after any answered examples."""

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


PLACE = "<image>"
"""Where a picture goes, in the text of a turn that has as many of these as pictures."""


@dataclass(frozen=True)
class Turn:
    """An answered example: what the user said, how many pictures went before it, the answer."""

    text: str
    pictures: int
    answer: str


@dataclass(frozen=True)
class Prompt:
    """What one item shows a model.

    `verbatim` text goes to the tokenizer as it stands, examples included; other text is the
    user's last turn of the model's chat template, after its pictures, and `turns` come before
    it. `images` are all of them in the order of the turns, the last turn's at the end. `lettered`
    says that the choices stand in the text under letters and a letter is the answer; otherwise
    the answer is a choice's own text.
    """

    text: str
    verbatim: bool
    images: tuple[ItemImage, ...]
    lettered: bool
    turns: tuple[Turn, ...] = ()


def render(item: Item, *, style: str = "lmms-eval") -> Prompt:
    """The prompt of an item in the wording of `style`; `prompt` items are the same in each.

    Raises: UsageError for an unknown style.
    """
    if style not in get_args(Style):
        raise UsageError(f"There is no prompt style '{style}': use {' or '.join(get_args(Style))}.")
    images = tuple(image for shown in (*item.shots, item) for image in shown.images)
    if item.prompt is not None:
        # A verbatim prompt's hint is what the harness calls its description: it stands once.
        blocks = [f"{s.prompt or ''}{s.delimiter}{_shown(s)}\n\n" for s in item.shots]
        text = "".join((item.hint or "", *blocks, item.prompt))
        return Prompt(text=text, verbatim=True, images=images, lettered=False)
    return Prompt(
        text=_user_text(item, style),
        verbatim=False,
        images=images,
        lettered=_is_lettered(item),
        turns=tuple(
            Turn(_user_text(shot, style), len(shot.images), _shown(shot)) for shot in item.shots
        ),
    )


def placed(text: str, pictures: int) -> list[str | None]:
    """A turn's texts and, as None, its pictures: in their places, else before the text."""
    if not pictures or text.count(PLACE) != pictures:
        return [None] * pictures + [text]
    pieces: list[str | None] = []
    for piece in text.split(PLACE):
        pieces += [piece, None]
    return [piece for piece in pieces[:-1] if piece != ""]


def right_answer(item: Item) -> str:
    """What a model should say: the letter, the choice's text, or the first accepted text."""
    if item.answer is None:
        return item.accepted[0]
    return LETTERS[item.answer] if _is_lettered(item) else item.choices[item.answer]


def _shown(shot: Item) -> str:
    return right_answer(shot) if shot.shown is None else shot.shown


def lettered_choices(choices: Sequence[str]) -> str:
    """The choices, a line each: `A. first`."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))


def _is_lettered(item: Item) -> bool:
    return item.prompt is None and bool(item.choices) and item.lettered


def _user_text(item: Item, style: str) -> str:
    own = dict(item.wordings).get(style)
    if own is not None:
        return own
    return _vlmevalkit(item) if style == "vlmevalkit" else _lmms_eval(item)


def _lmms_eval(item: Item) -> str:
    lines = [item.question or ""]
    if item.hint:
        lines.insert(0, f"Context: {item.hint}")
    if _is_lettered(item):
        lines += [lettered_choices(item.choices), LETTER_INSTRUCTION]
    else:
        lines.append(SHORT_INSTRUCTION)
    return "\n".join(lines)


def _vlmevalkit(item: Item) -> str:
    lines = [f"Question: {item.question}"]
    if item.hint:
        lines.insert(0, f"Hint: {item.hint}")
    if not _is_lettered(item):
        return "\n".join([*lines, SHORT_INSTRUCTION])
    lines += ["Options:", lettered_choices(item.choices)]
    lines.append("Please select the correct answer from the options above. ")
    return "\n".join(lines) + "\n"
