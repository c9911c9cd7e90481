"""From an item to a model's inputs, through the model's own chat template and processor.

Every item is encoded by itself, a batch of one without padding. No padding side, no mask over
pads and no neighbour in the batch can then touch an answer; what runs together in a sweep are the
variants of the model, which all see the same item.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from talo_export.errors import TaloError, TaloWarning, UsageError
from talo_export.models.loading import LoadedModel, LoadedProcessor
from talo_export.probing.chat import chat_text
from talo_export.probing.settings import Scoring
from talo_export.tasks.decoding import PictureError
from talo_export.tasks.item import LETTERS, Item, ItemImage
from talo_export.tasks.prompts import PLACE, Prompt, render
from talo_export.tasks.thoughts import left_open

IN_THOUGHTS = (
    "the prompt ends with {mark}, which opens the model's thoughts: likelihood compares choices as "
    "its first thought, not as its answer; use --scoring generate with --max-new-tokens in the "
    "thousands."
)


@dataclass(frozen=True, eq=False)
class Encoded:
    """One item as the model takes it.

    `inputs` are keyword arguments of the model, (1, length) for token ids; `continuations` the
    token ids that each choice adds after the prompt (one token where letters are scored), empty
    for a free-form item. `lettered` says that `continuations` are the choices' letters.
    """

    item: Item
    inputs: dict[str, Any]
    length: int
    continuations: tuple[tuple[int, ...], ...]
    lettered: bool

    def extended(self, tokens: Sequence[int]) -> dict[str, Any]:
        """The inputs with these tokens after the prompt."""
        return extend_inputs(self.inputs, tokens)


def encode(loaded: LoadedModel, item: Item, scoring: Scoring) -> Encoded:
    """Encode one item for a scoring.

    Raises TaloError naming the item where it does not fit the model: longer than the context,
    pictures for a text model, letters that the tokenizer cannot tell apart, a free-form item
    under likelihood.
    """
    prompt = prompt_of(item, scoring)
    if scoring.kind == "likelihood" and not item.choices:
        raise TaloError(
            f"item {item.id!r} has no choices to compare: score it with --scoring generate."
        )
    text, templated = prompt_text(loaded, item, prompt, scoring.system)
    if scoring.kind == "likelihood" and (mark := left_open(text)):
        warnings.warn(IN_THOUGHTS.format(mark=mark), TaloWarning, stacklevel=2)
    inputs = model_inputs(loaded, item, prompt, text)
    by_letter = letters_scored(prompt, scoring) and bool(item.choices)
    endings = choice_endings(item, by_letter, templated)
    drop, continuations = continue_prompt(loaded.tokenizer, text, endings, item)
    if scoring.kind == "generate":
        # Text is generated from the whole prompt: letters have a place there only where each is
        # the very next token.
        firsts = tuple(ids[:1] for ids in continuations)
        usable = by_letter and not drop and len(set(firsts)) == len(firsts)
        continuations = firsts if usable else ()
    else:
        inputs = without_last(inputs, drop, item)
        if by_letter:
            inputs, continuations = up_to_the_letter(inputs, continuations, item)
    check_words(loaded, item, inputs["input_ids"], continuations)
    length = int(inputs["input_ids"].shape[1])
    added = max(map(len, continuations), default=0)
    if scoring.kind == "generate":
        added = scoring.new_tokens(item)
    check_length(loaded, item, length, added)
    return Encoded(
        item=item,
        inputs={name: _to(loaded.device, value) for name, value in inputs.items()},
        length=length,
        continuations=continuations,
        lettered=by_letter and bool(continuations),
    )


def prompt_of(item: Item, scoring: Scoring) -> Prompt:
    """The item in the wording of the scoring's prompt style, by default its task's own."""
    style = {} if scoring.prompt_style is None else {"style": scoring.prompt_style}
    return render(item, **style)


def letters_scored(prompt: Prompt, scoring: Scoring) -> bool:
    """Whether choices are compared by letter: as asked, else where the prompt shows letters."""
    return prompt.lettered if scoring.choice_text is None else not scoring.choice_text


def prompt_text(
    loaded: LoadedProcessor, item: Item, prompt: Prompt, system: str | None
) -> tuple[str, bool]:
    """The text that is tokenised, and whether it went through a chat template."""
    if prompt.verbatim or not loaded.has_chat_template:
        if system is not None:
            raise UsageError(
                f"item {item.id!r} is a prompt used as it stands, in which a system message has no "
                "place: leave --system away."
                if prompt.verbatim
                else f"{loaded.name} has no chat template to put a system message in: leave "
                "--system away."
            )
        shots = "".join(f"{shot.text}\n{shot.answer}\n\n" for shot in prompt.turns)
        text = shots + prompt.text
        if not prompt.images:
            return text, False
        token = getattr(loaded.processor, "image_token", None)
        if token is None:
            raise TaloError(
                f"item {item.id!r} has a picture, but the processor of {loaded.name} names no "
                "image token and no chat template: give the model a chat template."
            )
        if text.count(PLACE) == len(prompt.images):
            text = text.replace(PLACE, token)
        missing = len(prompt.images) - text.count(token)
        return f"{token}\n" * max(missing, 0) + text, False
    return chat_text(loaded, item, prompt, system), True


def model_inputs(loaded: LoadedProcessor, item: Item, prompt: Prompt, text: str) -> dict[str, Any]:
    """Run the tokenizer or processor on one text and its pictures, special tokens once."""
    bos = loaded.tokenizer.bos_token
    options: dict[str, Any] = {"return_tensors": "pt"}
    if bos and text.startswith(bos):
        options["add_special_tokens"] = False
    if not loaded.is_vlm:
        if prompt.images:
            raise TaloError(f"item {item.id!r} has a picture, but {loaded.name} reads text only.")
        if loaded.has_chat_template and not prompt.verbatim:
            options["add_special_tokens"] = False
        encoded = loaded.tokenizer(text, **options)
    else:
        pictures = [_opened(item, image) for image in prompt.images]
        if pictures:
            options["images"] = [pictures]
        try:
            encoded = loaded.processor(text=[text], **options)
        except (ValueError, TypeError, IndexError) as error:
            raise TaloError(
                f"item {item.id!r} does not fit the processor of {loaded.name}: {error}"
            ) from error
    if not encoded["input_ids"].numel():
        raise TaloError(f"item {item.id!r} is an empty prompt: the model has nothing to go on.")
    return {name: value for name, value in encoded.items() if value is not None}


def _opened(item: Item, image: ItemImage) -> Any:
    try:
        return image.open()
    except PictureError as error:
        raise TaloError(f"item {item.id!r}: the image {error}.") from error


def choice_endings(item: Item, by_letter: bool, templated: bool) -> tuple[str, ...]:
    """What each choice adds to the prompt's text: its letter or text, after the item's delimiter.

    A chat template ends with its own separator, so nothing is put between there.
    """
    said = LETTERS[: len(item.choices)] if by_letter else item.choices
    return tuple(choice if templated else f"{item.delimiter}{choice}" for choice in said)


def continue_prompt(
    tokenizer: Any, text: str, endings: Sequence[str], item: Item
) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """(how many of the prompt's last tokens change, the token ids each ending adds instead).

    Prompt and ending are tokenised together and compared with the prompt alone, so the tokenizer
    itself decides whether "A" or " A" is the token that follows, and merges over the boundary are
    scored as they would be read. Nearly always nothing of the prompt changes.
    """
    if not endings:
        return 0, ()
    alone = tokenizer(text, add_special_tokens=False)["input_ids"]
    joint = [tokenizer(text + ending, add_special_tokens=False)["input_ids"] for ending in endings]
    shared = min(_common(alone, ids) for ids in joint)
    continuations = tuple(tuple(ids[shared:]) for ids in joint)
    if not all(continuations):
        empty = endings[[bool(ids) for ids in continuations].index(False)]
        raise TaloError(f"item {item.id!r}: the choice {empty!r} has no token to score.")
    return len(alone) - shared, continuations


def up_to_the_letter(
    inputs: dict[str, Any], continuations: Sequence[tuple[int, ...]], item: Item
) -> tuple[dict[str, Any], tuple[tuple[int, ...], ...]]:
    """Inputs up to the position where the letters part, and the one token each has there.

    Tokens that all letters begin with (a space of its own) belong to the prompt.
    """
    shared = min(_common(continuations[0], ids) for ids in continuations)
    if any(len(ids) == shared for ids in continuations):
        raise TaloError(
            f"item {item.id!r}: the tokenizer cannot tell its letters apart; "
            "score the choices' texts instead (--choice-text)."
        )
    firsts = tuple(ids[shared : shared + 1] for ids in continuations)
    return extend_inputs(inputs, continuations[0][:shared]), firsts


def extend_inputs(inputs: dict[str, Any], tokens: Sequence[int]) -> dict[str, Any]:
    """The inputs with these tokens after the prompt.

    Beside ids and mask, processors give kinds of tokens, where 0 is text, and what of a picture a
    token may look at, which goes on as it was at the prompt's end.
    """
    if not tokens:
        return inputs
    ids = inputs["input_ids"]

    def extended(name: str, value: Any) -> Any:
        if not is_per_token(value, ids):
            return value
        if name == "input_ids":
            tail = torch.tensor([list(tokens)])
        elif value.dim() == 2 and name != "attention_mask":
            tail = torch.zeros(1, len(tokens))
        else:
            tail = value[:, -1:].expand(1, len(tokens), *value.shape[2:])
        return torch.cat([value, tail.to(value.device, value.dtype)], dim=1)

    return {name: extended(name, value) for name, value in inputs.items()}


def is_per_token(value: Any, ids: Tensor) -> bool:
    """Whether an input has an entry for each token: (1, tokens, ...), and is no picture."""
    return (
        isinstance(value, Tensor)
        and value.shape[:2] == ids.shape
        and not (value.dim() > 2 and value.is_floating_point())
    )


def without_last(inputs: dict[str, Any], drop: int, item: Item) -> dict[str, Any]:
    """The inputs without their last `drop` tokens."""
    if not drop:
        return inputs
    ids = inputs["input_ids"]
    if drop >= ids.shape[1]:
        raise TaloError(f"item {item.id!r}: nothing of its prompt is left before the choices.")
    return {
        name: value[:, :-drop] if is_per_token(value, ids) else value
        for name, value in inputs.items()
    }


def check_words(
    loaded: LoadedModel, item: Item, ids: Tensor, continuations: Sequence[Sequence[int]]
) -> None:
    """Raise TaloError for a token that has no row in the model's embedding.

    Ids that the config names stand for what is no text (`image_token_id`); models replace them.
    """
    rows = getattr(loaded.model.get_input_embeddings(), "num_embeddings", None)
    largest = max([int(ids.max()), *(max(tokens) for tokens in continuations)])
    if rows is None or largest < rows:
        return
    config = vars(loaded.model.config)
    named = {value for key, value in config.items() if key.endswith(("token_id", "token_index"))}
    tokens = {*ids.flatten().tolist(), *(token for ids in continuations for token in ids)}
    beyond = sorted(token for token in tokens if token >= rows and token not in named)
    if beyond:
        word = loaded.tokenizer.convert_ids_to_tokens(beyond[0])
        raise TaloError(
            f"item {item.id!r} has the token {word!r} ({beyond[0]}), but the embedding of "
            f"{loaded.name} ends at {rows - 1}: its tokenizer is another model's, or words were "
            "added without resizing the embedding"
        )


def check_length(loaded: LoadedModel, item: Item, length: int, added: int) -> None:
    """Raise `ItemTooLongError` where prompt and answer exceed the model's positions."""
    config = loaded.model.config.get_text_config(decoder=True)
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and length + added > limit:
        raise ItemTooLongError(
            f"item {item.id!r} takes {length} tokens and {added} more for its answer, but "
            f"{loaded.name} has room for {limit}: shorten it, or pass --skip-too-long."
        )


class ItemTooLongError(TaloError):
    """An item does not fit the model's context."""


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    for at, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return at
    return min(len(first), len(second))


def _to(device: torch.device, value: Any) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
