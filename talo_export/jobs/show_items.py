"""What a model is sent: the rendered prompts of a task's first items, and their pictures.

The text is the very one that is tokenised, through the model's own chat template; the pictures
are what its processor is given. No weights are read for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from talo_export.codec import Recorded
from talo_export.errors import UsageError
from talo_export.jobs.asking import Setup
from talo_export.jobs.many import means_many
from talo_export.jobs.task_words import TaskWords, load_words
from talo_export.models.loading import LoadedProcessor, load_processor_alone
from talo_export.probing.encoding import model_inputs, prompt_text
from talo_export.probing.settings import Scoring
from talo_export.runs.directory import default_directory
from talo_export.tasks.item import Item, ItemImage
from talo_export.tasks.prompts import render, right_answer


@dataclass(frozen=True)
class ShownPicture:
    """A picture as the processor is given it."""

    file: Path
    source: str
    size: tuple[int, int]
    """Width and height."""


@dataclass(frozen=True)
class ShownItem:
    """One rendered prompt."""

    id: str
    text: str
    chat_template: bool
    """Whether the text went through the model's."""
    tokens: int
    right_answer: str
    choices: tuple[str, ...]
    pictures: tuple[ShownPicture, ...]


@dataclass(frozen=True)
class ShownItems(Recorded):
    """The document of `tasks NAME --show N --json`."""

    task: str
    task_source: str
    model: str
    items: tuple[ShownItem, ...]


def show_items(
    setup: Setup,
    words: TaskWords,
    count: int,
    *,
    scoring: Scoring | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> ShownItems:
    """Render the first `count` items; pictures are saved as PNG below `out`.

    Raises UsageError for a pattern: one task at a time is shown.
    """
    if means_many(words.name):
        raise UsageError(f"{words.name} means several tasks: name one to show.")
    task = load_words(words, model_is_demo=setup.is_demo, seed=seed)
    asker = load_processor_alone(setup.reference, trust_remote_code=setup.trust_remote_code)
    folder = out or Path("shown") / default_directory("", task.name).name
    return ShownItems(
        task=task.name,
        task_source=task.source,
        model=setup.name,
        items=tuple(
            _shown(asker, item, scoring or Scoring(), folder) for item in task.items[:count]
        ),
    )


def _shown(asker: LoadedProcessor, item: Item, scoring: Scoring, folder: Path) -> ShownItem:
    style = {} if scoring.prompt_style is None else {"style": scoring.prompt_style}
    prompt = render(item, **style)
    text, templated = prompt_text(asker, item, prompt, scoring.system)
    inputs = model_inputs(asker, item, prompt, text)
    return ShownItem(
        id=item.id,
        text=text,
        chat_template=templated,
        tokens=int(inputs["input_ids"].shape[1]),
        right_answer=right_answer(item),
        choices=item.choices,
        pictures=tuple(
            _saved(picture, folder / f"{_file_name(item.id)}-{number}.png")
            for number, picture in enumerate(prompt.images, start=1)
        ),
    )


def _saved(picture: ItemImage, path: Path) -> ShownPicture:
    path.parent.mkdir(parents=True, exist_ok=True)
    decoded = picture.open()
    decoded.save(path)
    return ShownPicture(path, picture.name, decoded.size)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "item"
