"""The two values every other room reads: an item (one question) and a task (many)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image as PILImage

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class ItemImage:
    """An encoded picture, decoded only when a model asks for it.

    Exactly one of `path`, `data` and `fetch` (reads a row of a table on disk) is set; `name` says
    where it came from, for error messages.
    """

    name: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    fetch: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)

    def read(self) -> bytes:
        """The encoded bytes, as stored."""
        if self.data is not None:
            return self.data
        if self.fetch is not None:
            return self.fetch()
        assert self.path is not None
        return self.path.read_bytes()

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the encoded bytes: two items with the same picture share it."""
        return hashlib.sha256(self.read()).hexdigest()

    def check(self) -> None:
        """Read it once, for its header and its hash. Raises: PictureError where it is none."""
        from talo_export.tasks.decoding import PictureError, opened

        try:
            data = self.read()
        except OSError as error:
            raise PictureError(f"cannot be read ({error.strerror or error})") from error
        with opened(data):
            # Where `sha256` keeps it: asked for later, it reads nothing.
            self.__dict__["sha256"] = hashlib.sha256(data).hexdigest()

    def open(self) -> PILImage.Image:
        """Decode to RGB as a viewer shows it. Raises: PictureError naming the picture."""
        from talo_export.tasks.decoding import PictureError, decode

        try:
            return decode(self.read())
        except PictureError as error:
            raise PictureError(f"{self.name:.80} {error}") from error


@dataclass(frozen=True)
class Item:
    """One question with its right answer.

    Exactly one of `question` (shown through the model's chat template) and `prompt` (used
    verbatim) is set. Multiple choice has `choices` and `answer`, an index into them; free-form
    has no `choices` and a non-empty `accepted`. Items of one `group` never straddle a split.

    `hint` is context that prompt styles place differently. `lettered` is False where the choices
    are answered by their text (yes/no sets). `tolerance` is the largest absolute difference at
    which a number still counts as an accepted one. `wordings` are a benchmark's own user texts,
    as pairs of prompt style and text. Items of one `unit` ask one question several ways (rotated
    choices): `averages.py` also counts whole units. `delimiter` stands between a verbatim prompt
    and a choice; an answer ends at the first of `until`. `shots` are shown, answered, before it;
    `shown` is what it says as an example itself, where that is not the right answer alone.
    `max_new_tokens` is how long its task lets an answer get, None where that is the scoring's to
    say.
    """

    id: str
    group: str
    question: str | None = None
    prompt: str | None = None
    choices: tuple[str, ...] = ()
    answer: int | None = None
    accepted: tuple[str, ...] = ()
    images: tuple[ItemImage, ...] = ()
    category: str | None = None
    hint: str | None = None
    lettered: bool = True
    tolerance: float = 0.0
    wordings: tuple[tuple[str, str], ...] = ()
    unit: str | None = None
    delimiter: str = " "
    until: tuple[str, ...] = ()
    shots: tuple[Item, ...] = ()
    shown: str | None = None
    max_new_tokens: int | None = None

    @property
    def chance(self) -> float:
        """Probability that a blind guess is right: 1/choices, 0 for free-form."""
        return 1 / len(self.choices) if self.choices else 0.0


@dataclass(frozen=True)
class Task:
    """A named set of items with stable, distinct ids. `source` says where they were read from.

    Of a user's own data, `unread` are the columns that were not read, `notes` what a person
    should look at in how the others were.
    """

    name: str
    items: tuple[Item, ...]
    source: str
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def chance(self) -> float:
        """Expected accuracy of blind guessing over the items."""
        return sum(item.chance for item in self.items) / len(self.items)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of everything a model is shown or judged by; changes when the task does."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(json.dumps(_content(item), ensure_ascii=False).encode())
        return digest.hexdigest()


def _content(item: Item) -> list[object]:
    """Everything of an item that a model is shown or judged by."""
    content: list[object] = [
        item.id, item.group, item.question, item.prompt, item.choices, item.answer,
               item.accepted, [image.sha256 for image in item.images], item.hint, item.lettered,
               item.tolerance, item.wordings, item.delimiter, item.until,
               [_content(shot) for shot in item.shots]]  # fmt: skip
    return [*content, *(own for own in (item.shown, item.max_new_tokens) if own is not None)]
