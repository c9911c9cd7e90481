"""What is asked: a question of the user's own, the items of a task, or those of a probed run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from talo_export.errors import UsageError
from talo_export.probing.settings import Scoring
from talo_export.requests.measurements import AskRequest
from talo_export.requests.settings import DEFAULT_PROMPT
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.directory import RunDirectory
from talo_export.runs.reading import task_of_run
from talo_export.tasks.decoding import PictureError
from talo_export.tasks.item import Item, ItemImage
from talo_export.tasks.prompts import Style

OWN = "your question"
"""The id of a question that stands in no file."""
OWN_TOKENS = 256
"""New tokens for its answer."""


@dataclass(frozen=True)
class Questions:
    """Items, and how they are put."""

    items: tuple[Item, ...]
    scoring: Scoring


def questions_of(
    request: AskRequest, run: RunDirectory | None, *, model_is_demo: bool
) -> Questions:
    """What the request asks; `run` is the one it names, None for a mere export or model.

    Raises UsageError where it asks nothing, or for an item or a picture that is not there.
    """
    style = None if request.prompt == DEFAULT_PROMPT else request.prompt
    scoring = Scoring(
        max_new_tokens=request.max_new_tokens, prompt_style=style, system=request.system
    )
    if request.task is not None:
        task = load_chosen(request, model_is_demo=model_is_demo)
        return Questions(_named(task.items, request.items)[: request.limit], scoring)
    if request.items:
        if run is None:
            raise UsageError("--item needs a run whose item it is, or --task.")
        task = task_of_run(run, data=request.data, trusted=request.trust_remote_code)
        asked = run.request().scoring
        scoring = Scoring(
            max_new_tokens=request.max_new_tokens or asked.max_new_tokens,
            prompt_style=style or asked.prompt_style,
            system=asked.system if request.system is None else request.system,
        )
        return Questions(_named(task.items, request.items), scoring)
    if not (request.question or "").strip():
        raise UsageError(
            'ask needs a question, "What is shown here?", or --task FILE with many of them; at a '
            "terminal it asks for one."
        )
    return own_question(str(request.question), pictures(request.images), request)


def own_question(question: str, images: tuple[ItemImage, ...], request: AskRequest) -> Questions:
    """A question in the user's own words, to which nothing is added."""
    item = Item(
        id=OWN,
        group=OWN,
        question=question,
        images=images,
        wordings=tuple((style, question) for style in get_args(Style)),
    )
    scoring = Scoring(max_new_tokens=request.max_new_tokens or OWN_TOKENS, system=request.system)
    return Questions((item,), scoring)


def _named(items: Sequence[Item], ids: Sequence[str]) -> tuple[Item, ...]:
    """The items of these ids, in their order; all where none is named."""
    by_id = {item.id: item for item in items}
    lost = [name for name in ids if name not in by_id]
    if lost:
        raise UsageError(f"there is no item {lost[0]!r}: the ids begin with {items[0].id!r}.")
    return tuple(by_id[name] for name in ids) if ids else tuple(items)


def pictures(paths: Sequence[Path]) -> tuple[ItemImage, ...]:
    """The files, each read once. Raises UsageError for one that is not there or is no picture."""
    images = tuple(ItemImage(name=str(path), path=path) for path in paths)
    for image in images:
        if not Path(image.name).is_file():
            raise UsageError(f"there is no picture {image.name}: check --image.")
        try:
            image.open()
        except PictureError as error:
            raise UsageError(f"the picture {error}.") from error
    return images
