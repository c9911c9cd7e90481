"""What a model is sent: the rendered prompts of a task's first items, and their pictures.

The text is the very one that is tokenised, through the model's own chat template; the pictures
are what its processor is given. No weights are read for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from talo_export.codec import Recorded
from talo_export.commands.many import means_many
from talo_export.errors import UsageError
from talo_export.models.loading import LoadedProcessor, load_processor_alone
from talo_export.probing.encoding import model_inputs, prompt_text
from talo_export.requests.readings import TasksRequest
from talo_export.requests.settings import PromptSettings
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.directory import default_directory, file_name
from talo_export.tasks.item import Item, ItemImage
from talo_export.tasks.names import distinct_slugs
from talo_export.tasks.prompts import render, right_answer

if TYPE_CHECKING:
    from rich.console import Console


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


def render_items(request: TasksRequest) -> ShownItems:
    """Render the task's first items; pictures are saved as PNG below `out`.

    Raises UsageError for a pattern: one task at a time is shown.
    """
    if means_many(request.task):
        raise UsageError(f"{request.task} means several tasks: name one to show.")
    task = load_chosen(request, model_is_demo=request.is_demo, first=request.show)
    asker = load_processor_alone(
        request.model_reference, trust_remote_code=request.trust_remote_code
    )
    folder = request.out or Path("shown") / default_directory("", task.name).name
    items = task.items[: request.show]
    names = distinct_slugs(item.id for item in items)
    return ShownItems(
        task=task.name,
        task_source=task.source,
        model=request.model_name,
        items=tuple(
            _shown(asker, item, request, folder / file_name(names[item.id])) for item in items
        ),
    )


def _shown(asker: LoadedProcessor, item: Item, wording: PromptSettings, file: Path) -> ShownItem:
    prompt = render(item, style=wording.prompt)
    text, templated = prompt_text(asker, item, prompt, wording.system)
    inputs = model_inputs(asker, item, prompt, text)
    return ShownItem(
        id=item.id,
        text=text,
        chat_template=templated,
        tokens=int(inputs["input_ids"].shape[1]),
        right_answer=right_answer(item),
        choices=item.choices,
        pictures=tuple(
            _saved(picture, file.with_name(f"{file.name}-{number}.png"))
            for number, picture in enumerate(prompt.images, start=1)
        ),
    )


def _saved(picture: ItemImage, path: Path) -> ShownPicture:
    path.parent.mkdir(parents=True, exist_ok=True)
    decoded = picture.open()
    decoded.save(path)
    return ShownPicture(path, picture.name, decoded.size)


def show_items(shown: ShownItems, to: Console) -> None:
    """Each text between a heading and what goes with it."""
    from rich.text import Text

    for number, item in enumerate(shown.items):
        if number:
            to.print()
        to.print(_heading(item), style="bold")
        # Neither folded nor coloured; behind a margin none of its lines passes for one of ours.
        to.print(Text("\n".join(f"  {line}" for line in item.text.split("\n"))), soft_wrap=True)
        to.print(f"right answer: {item.right_answer}", style="green")
        for picture in item.pictures:
            width, height = picture.size
            to.print(f"picture: {picture.file}, {width} x {height}")


def items_summary(shown: ShownItems) -> list[str]:
    """The lines of the texts alone, so that they can be copied."""
    return "\n\n".join(item.text for item in shown.items).split("\n")


def _heading(item: ShownItem) -> str:
    way = "through the chat template" if item.chat_template else "as it stands"
    return f"{item.id}: {item.tokens} tokens, {way}"
