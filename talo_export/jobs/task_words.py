"""From the user's words about a task to the task, and what those words meant.

The bundled demo is the default. Names starting with `demo/` always mean the demo's; a bare name
means the demo's when the demo is the model, and the catalogue's otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from talo_export.demo import DEMO as DEMO
from talo_export.errors import UsageError
from talo_export.runs.directory import RunRequest
from talo_export.tasks.item import Item, Task

DEFAULT_TASK = "maps"


@dataclass(frozen=True, slots=True)
class TaskWords:
    """What was asked for. `name` None is `maps`; `data` a local copy of the catalogue's data sets.

    `columns` maps our fields to the data's own names; `few_shot` answered examples stand before
    every item; `trust_remote_code` lets a task's YAML run the functions that it names.
    """

    name: str | None = None
    data: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    few_shot: int = 0
    trust_remote_code: bool = False

    @property
    def asked(self) -> str:
        return self.name or DEFAULT_TASK

    def recorded(self) -> dict[str, Any]:
        """What a run keeps to read its items again, defaults left out."""
        kept: dict[str, Any] = {"columns": dict(self.columns), "few_shot": self.few_shot}
        return {name: value for name, value in kept.items() if value}


def words_of_run(request: RunRequest, *, data: Path | None, trusted: bool) -> TaskWords:
    """The words by which a run's recorded request named its task."""
    return TaskWords(
        name=request.task_reference,
        data=data,
        trust_remote_code=trusted,
        **(request.task_words or {}),
    )


def load_words(words: TaskWords, *, model_is_demo: bool, seed: int = 0) -> Task:
    """The task that the words mean; `seed` draws its examples.

    Raises `UsageError` naming the nearest where there is none of that name, or where there is
    nothing to draw examples from.
    """
    from talo_export.demo import load_demo_task
    from talo_export.tasks.few_shot import with_shots
    from talo_export.tasks.sources import load_task

    bare = _demo_name(words.asked, model_is_demo=model_is_demo)
    # First, since the lack of any is told without reading the items.
    pool = examples_for(words, model_is_demo=model_is_demo) if words.few_shot else ()
    if bare is not None:
        if words.columns:
            raise UsageError(f"columns are named for files and data sets, not {DEMO}/{bare}.")
        task = load_demo_task(bare)
    else:
        task = load_task(
            words.asked,
            data=words.data,
            columns=words.columns or None,
            trust_remote_code=words.trust_remote_code,
        )
    return with_shots(task, pool, words.few_shot, seed)


def examples_for(words: TaskWords, *, model_is_demo: bool) -> tuple[Item, ...]:
    """The items that are set apart to be shown, answered, before the task's own.

    Raises `UsageError` where there are none.
    """
    from talo_export.tasks.sources import load_examples

    if _demo_name(words.asked, model_is_demo=model_is_demo) is not None:
        raise UsageError(f"{words.asked} is the demo's, which has no split to take examples from.")
    return load_examples(words.asked, data=words.data, trust_remote_code=words.trust_remote_code)


def meaning(asked: str | None, *, model_is_demo: bool) -> str:
    """One sentence: which task a name means, and where the other of that name is.

    What is written in full, with its collection before it, means one thing alone.
    """
    from talo_export.demo import demo_task_names

    name = asked or DEFAULT_TASK
    bare = name.removeprefix(f"{DEMO}/")
    if bare not in demo_task_names() or name != bare:
        return f"task {name}"
    if model_is_demo:
        others = _catalogued(bare)
        beside = f"; with another model, {bare} means {' or '.join(others)}" if others else ""
        return f"task {bare}: the bundled demo's own, {DEMO}/{bare}{beside}"
    from talo_export.tasks.benchmark import benchmarks

    others = _catalogued(bare)
    if len(others) != 1:
        return f"task {name}"
    title = benchmarks()[others[0].partition("/")[0]].title
    return f"task {bare}: {others[0]}, of {title}; the bundled demo's own is {DEMO}/{bare}"


def absolute_name(words: TaskWords, *, model_is_demo: bool) -> str:
    """The same task from any directory and for any model: a run is read again by this."""
    from talo_export.tasks.files import find_task_file

    bare = _demo_name(words.asked, model_is_demo=model_is_demo)
    if bare is not None:
        return f"{DEMO}/{bare}"
    file = find_task_file(words.asked)
    if file is not None:
        category = f":{file.category}" if file.category else ""
        return f"{file.path.resolve()}{category}"
    path = Path(words.asked)
    return str(path.resolve()) if path.is_file() else words.asked


def with_columns(words: TaskWords, text: str | None) -> TaskWords:
    """The words with the columns of an option's text, `question=stem,choices=options`."""
    if text is None:
        return words
    from talo_export.tasks.columns import parse_columns

    return replace(words, columns=parse_columns(text))


def _demo_name(asked: str, *, model_is_demo: bool) -> str | None:
    """The demo's own name of the task, None where another is meant. Raises for an unknown one."""
    from talo_export.demo import demo_task_names

    if asked.startswith(f"{DEMO}/"):
        bare = asked.removeprefix(f"{DEMO}/")
        if bare not in demo_task_names():
            raise UsageError(
                f"the demo has no task {bare!r}; it has {', '.join(demo_task_names())}."
            )
        return bare
    return asked if model_is_demo and asked in demo_task_names() else None


def _catalogued(bare: str) -> list[str]:
    """Full names of the catalogue's tasks that this bare one could mean."""
    from talo_export.tasks.catalogue import entries

    return [
        name
        for name, entry in entries().items()
        if entry.benchmark.bare_names and name.partition("/")[2] == bare
    ]
