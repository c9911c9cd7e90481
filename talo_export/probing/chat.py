"""A question through the model's own chat template, and the check that it arrived.

Templates differ in what they take for a turn's content: a text, or a list of parts with a place
for every picture. What they cannot take they often drop, or print as Python would. So the
likelier form is tried first, then the other, and a text is only used where every turn stands in
it, in order, and every picture has left its mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateError

from talo_export.errors import TaloError, UsageError
from talo_export.models.loading import LoadedProcessor
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import Prompt, placed

# Llama 3's templates print today's date unless they are given one, this one where today's cannot
# be had. A measurement repeated next week must see the same prompt.
TEMPLATE_DATE = {"date_string": "26 Jul 2024"}

MEND = "mend its chat_template.jinja in a copy of the model, or give items as a `prompt`"

PRINTED = ("'type':'text'", '"type":"text"', "'content':", '"content":')
"""Of a turn or a part printed as Python or JSON would, without its spaces."""


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One turn: texts and pictures (None) in their order."""

    role: str
    pieces: tuple[str | None, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """What must stand in the rendered chat; templates strip the space around a turn."""
        return tuple(text for piece in self.pieces if piece and (text := piece.strip()))

    def parts(self) -> dict[str, Any]:
        """The turn for a template that iterates over parts."""
        content = [
            {"type": "image"} if piece is None else {"type": "text", "text": piece}
            for piece in self.pieces
        ]
        return {"role": self.role, "content": content}

    def text(self, token: str) -> dict[str, Any]:
        """The turn for a template that takes a text, `token` for a picture, on a line before it."""
        content = ""
        for before, piece in zip((None, *self.pieces), self.pieces, strict=False):
            words = token if piece is None else piece
            apart = content and before is None and not words[:1].isspace()
            content += f"\n{words}" if apart else words
        return {"role": self.role, "content": content}

    def without_picture(self, number: int) -> ChatTurn:
        """The turn with its picture `number` (from 0) left out."""
        place = [at for at, piece in enumerate(self.pieces) if piece is None][number]
        return replace(self, pieces=(*self.pieces[:place], *self.pieces[place + 1 :]))


Form = Callable[[ChatTurn], dict[str, Any]]


def chat_text(loaded: LoadedProcessor, item: Item, prompt: Prompt, system: str | None) -> str:
    """The whole chat as the template puts it, up to where the model's answer begins.

    Raises TaloError, naming model and item, where the template fails, drops or garbles a turn, or
    leaves a picture out; UsageError where it has no place for the system message.
    """
    speaker = loaded.processor
    if not getattr(speaker, "chat_template", None):
        # As `AutoProcessor` leaves it where the template stands in tokenizer_config.json alone.
        speaker = loaded.tokenizer
    if isinstance(speaker.chat_template, dict) and "default" not in speaker.chat_template:
        raise TaloError(
            f"{loaded.name} has the chat templates {', '.join(sorted(speaker.chat_template))} and "
            "none called default: copy the model and keep the one to use as chat_template.jinja"
        )
    turns = _turns(prompt, system)
    forms: list[Form] = [ChatTurn.parts]
    token = getattr(loaded.processor, "image_token", None)
    if token is not None or not prompt.images:
        # Templates of processors iterate over parts; those of plain tokenizers mostly take a text.
        forms.insert(loaded.is_vlm, lambda turn: turn.text(token or ""))
    failures: list[TaloError] = []
    for form in forms:
        try:
            rendered = _rendered(loaded, speaker, item, map(form, turns))
            _check_texts(loaded, item, turns, rendered)
            _check_pictures(loaded, speaker, item, turns, form, rendered)
            _check_system(loaded, system, rendered)
        except TaloError as error:
            failures.append(error)
        else:
            return rendered
    # A place for the system message is a smaller thing to miss than the question.
    raise next((error for error in failures if isinstance(error, UsageError)), failures[0])


def _turns(prompt: Prompt, system: str | None) -> list[ChatTurn]:
    turns = [] if system is None else [ChatTurn("system", (system,))]
    for shot in prompt.turns:
        turns.append(ChatTurn("user", tuple(placed(shot.text, shot.pictures))))
        turns.append(ChatTurn("assistant", (shot.answer,)))
    own = len(prompt.images) - sum(shot.pictures for shot in prompt.turns)
    return [*turns, ChatTurn("user", tuple(placed(prompt.text, own)))]


def _rendered(
    loaded: LoadedProcessor, speaker: Any, item: Item, turns: Iterable[dict[str, Any]]
) -> str:
    date = TEMPLATE_DATE if "date_string" in str(speaker.chat_template) else {}
    try:
        return str(
            speaker.apply_chat_template(
                list(turns), tokenize=False, add_generation_prompt=True, **date
            )
        )
    except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise TaloError(
            f"the chat template of {loaded.name} refuses item {item.id!r}: "
            f"{str(error).rstrip('.') or type(error).__name__}."
        ) from error


def _check_texts(
    loaded: LoadedProcessor, item: Item, turns: Sequence[ChatTurn], rendered: str
) -> None:
    """Raise TaloError unless every turn's text stands in the chat, in order, as it is."""
    texts = [text for turn in turns if turn.role != "system" for text in turn.texts]
    own = "".join(text for turn in turns for text in turn.texts).replace(" ", "")
    if any(mark in rendered.replace(" ", "") and mark not in own for mark in PRINTED):
        raise TaloError(
            f"the chat template of {loaded.name} prints item {item.id!r} as data "
            f"instead of saying it: {MEND}."
        )
    at = 0
    for text in texts:
        place = rendered.find(text, at)
        if place < 0:
            raise TaloError(
                f"the chat template of {loaded.name} does not show the model item {item.id!r} as "
                f"it is ({text.splitlines()[0][:40]!r} is not in it): {MEND}."
            )
        at = place + len(text)


def _check_pictures(
    loaded: LoadedProcessor,
    speaker: Any,
    item: Item,
    turns: Sequence[ChatTurn],
    form: Form,
    rendered: str,
) -> None:
    """Raise TaloError unless the chat would be another one without any of its pictures."""
    for place, turn in enumerate(turns):
        for number in range(turn.pieces.count(None)):
            fewer = [*turns[:place], turn.without_picture(number), *turns[place + 1 :]]
            if _rendered(loaded, speaker, item, map(form, fewer)) == rendered:
                raise TaloError(
                    f"the chat template of {loaded.name} has no place for the pictures of item "
                    f"{item.id!r}: {MEND}."
                )


def _check_system(loaded: LoadedProcessor, system: str | None, rendered: str) -> None:
    if system is not None and system.strip() not in rendered:
        raise UsageError(
            f"the chat template of {loaded.name} has no place for a system message: leave "
            "--system away."
        )
