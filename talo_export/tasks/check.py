"""What a task is like before any model sees it: counts, balance, duplicates, leaks.

Everything here is a pure function of items, except that pictures are decoded once, in full: a
file whose header is fine can still be broken further down.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from talo_export.codec import Recorded, derived
from talo_export.tasks.decoding import PictureError
from talo_export.tasks.item import LETTERS, Item, ItemImage, Task
from talo_export.tasks.plain_text import exact, loose
from talo_export.tasks.problems import FieldError, Problems
from talo_export.tasks.sources import load_task
from talo_export.wording import first_of, percent

UNBALANCED = 1.5
"""Always giving one letter and scoring this many times chance is worth a warning."""


@dataclass(frozen=True)
class TaskReport(Recorded):
    """Facts about a task. Ids stand in tuples of items that belong together.

    `letters` counts the right answers by letter; `constant_accuracy` is what always answering
    with the commonest letter scores. `same_content` are items that ask the same thing;
    `contradictions` those of them whose right answers differ; `leaks` those that a split could
    part, because their groups differ; `shared_with_other` pairs of an item and one of the other
    task that ask the same or show the same picture. `columns_not_read` and `notes` are the task's;
    `choices_nan` counts choices that read "nan", as pandas writes a blank cell.
    """

    name: str
    source: str
    items: int
    groups: int
    multiple_choice: int
    free_form: int
    pictures: int
    chance: float
    constant_accuracy: float
    categories: dict[str, int]
    letters: dict[str, int]
    choices_per_item: dict[int, int]
    same_content: tuple[tuple[str, ...], ...]
    contradictions: tuple[tuple[str, ...], ...]
    leaks: tuple[tuple[str, ...], ...]
    repeated_choices: tuple[str, ...]
    shared_with_other: tuple[tuple[str, str], ...]
    columns_not_read: tuple[str, ...]
    notes: tuple[str, ...]
    choices_nan: int

    @derived
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at, a sentence each; empty where nothing stands out."""
        lettered = self.multiple_choice > 0 and self.chance > 0
        found = list(self.notes)
        if self.choices_nan:
            found.append(
                f'Choices that read "nan": {self.choices_nan}. Where they are blank cells, leave '
                "these blank."
            )
        if lettered and self.constant_accuracy > UNBALANCED * self.chance:
            letter = max(self.letters, key=lambda key: self.letters[key])
            found.append(
                f"Always answering {letter} scores {percent(self.constant_accuracy, 0)}, chance is "
                f"{percent(self.chance, 0)}: shuffle the choices."
            )
        for ids, words in (
            (self.contradictions, "ask the same but have different right answers"),
            (self.leaks, "ask the same but could come to lie on both sides of a split: give them "
                         "one 'group'"),
        ):  # fmt: skip
            found += [f"The items {', '.join(same)} {words}." for same in ids[:5]]
            if len(ids) > 5:
                found.append(f"... and {len(ids) - 5} more that {words}.")
        if self.repeated_choices:
            found.append(f"Two choices have the same text in {first_of(self.repeated_choices, 5)}.")
        if self.shared_with_other:
            shared = [ours for ours, _ in self.shared_with_other]
            named = first_of(shared, 5)
            found.append(f"The other task holds the question or the picture of {named}.")
        return tuple(found)


def check_task(
    reference: str, *, data: Path | None = None, against: str | None = None
) -> TaskReport:
    """Load a task and report on it; `against` is another whose items it should not share.

    Raises: as `load_task`; TaloError naming up to ten pictures that cannot be decoded.
    """
    task = load_task(reference, data=data)
    other = load_task(against, data=data) if against is not None else None
    return describe_task(task, other)


def describe_task(task: Task, other: Task | None = None) -> TaskReport:
    """The report on a task already loaded. Raises: TaloError on pictures that cannot be decoded."""
    pixels = _Pixels(task.source)
    ours = [(item, _content(item, pixels)) for item in task.items]
    pixels.problems.raise_if_any()
    same = defaultdict(list)
    for item, content in ours:
        same[content].append(item)
    repeated = [members for members in same.values() if len(members) > 1]
    answered = Counter(item.answer for item in task.items if item.answer is not None)
    choosing = sum(answered.values())
    return TaskReport(
        name=task.name,
        source=task.source,
        items=len(task),
        groups=len({item.group for item in task.items}),
        multiple_choice=choosing,
        free_form=len(task) - choosing,
        pictures=len({image.sha256 for item in task.items for image in item.images}),
        chance=task.chance,
        constant_accuracy=max(answered.values(), default=0) / len(task),
        categories=dict(sorted(Counter(i.category for i in task.items if i.category).items())),
        letters={LETTERS[index]: answered[index] for index in sorted(answered)},
        choices_per_item=dict(
            sorted(Counter(len(i.choices) for i in task.items if i.choices).items())
        ),
        same_content=_ids(repeated),
        contradictions=_ids(m for m in repeated if len({_right(item) for item in m}) > 1),
        leaks=_ids(m for m in repeated if len({item.group for item in m}) > 1),
        repeated_choices=tuple(
            item.id
            for item in task.items
            if len({exact(choice) for choice in item.choices}) < len(item.choices)
        ),
        shared_with_other=_shared(ours, other, pixels) if other is not None else (),
        columns_not_read=task.unread,
        notes=task.notes,
        choices_nan=sum(choice == "nan" for item in task.items for choice in item.choices),
    )


class _Pixels:
    """Hashes of decoded pictures, so that re-encoding or another file name hides nothing."""

    def __init__(self, source: str) -> None:
        self.problems = Problems(source)
        self._known: dict[str, str] = {}

    def of(self, image: ItemImage, item: Item) -> str:
        key = image.sha256
        if key not in self._known:
            self._known[key] = key
            try:
                picture = image.open()
            except PictureError as error:
                self.problems.add(f"item {item.id}", FieldError(None, str(error)))
            else:
                data = repr(picture.size).encode() + picture.tobytes()
                self._known[key] = hashlib.sha256(data).hexdigest()
        return self._known[key]


Content = tuple[str, frozenset[str], tuple[str, ...]]


def _content(item: Item, pixels: _Pixels) -> Content:
    """What an item asks: its words, its choices in any order, its pictures."""
    words = loose(" ".join(filter(None, (item.hint, item.question or item.prompt))))
    choices = frozenset(exact(choice) for choice in item.choices)
    return words, choices, tuple(pixels.of(image, item) for image in item.images)


def _right(item: Item) -> str:
    if item.answer is None:
        return " | ".join(sorted(exact(text) for text in item.accepted))
    return exact(item.choices[item.answer])


def _shared(
    ours: Sequence[tuple[Item, Content]], other: Task, pixels: _Pixels
) -> tuple[tuple[str, str], ...]:
    by_content: dict[Content, str] = {}
    by_picture: dict[str, str] = {}
    for item in other.items:
        content = _content(item, pixels)
        by_content.setdefault(content, item.id)
        for picture in content[2]:
            by_picture.setdefault(picture, item.id)
    pixels.problems.raise_if_any()
    pairs = []
    for item, content in ours:
        seen = [by_content.get(content), *(by_picture.get(picture) for picture in content[2])]
        known = [identity for identity in seen if identity is not None]
        if known:
            pairs.append((item.id, known[0]))
    return tuple(pairs)


def _ids(groups: Iterable[Sequence[Item]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(item.id for item in members) for members in groups)
