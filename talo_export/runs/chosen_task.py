"""From the chosen task's name to its items, and what that name meant.

The bundled demo is the default. Names starting with `demo/` always mean the demo's; a bare name
means the demo's when the demo is the model, and the catalogue's otherwise.
"""

from __future__ import annotations

from pathlib import Path

from talo_export.errors import UsageError
from talo_export.requests.settings import DEFAULT_TASK, DEMO, TaskChoice, TaskWithShots
from talo_export.tasks.item import Item, Task


def load_chosen(choice: TaskChoice, *, model_is_demo: bool, first: int | None = None) -> Task:
    """The task that was chosen, with the examples before its items, drawn by the seed.

    With `first` no more than so many items are of use; examples are drawn in view of all.

    Raises `UsageError` naming the nearest where there is none of that name, or where there is
    nothing to draw examples from.
    """
    from talo_export.demo.bundled import load_demo_task
    from talo_export.tasks.few_shot import with_shots
    from talo_export.tasks.sources import load_task

    name = choice.task or DEFAULT_TASK
    bare = _demo_name(name, model_is_demo=model_is_demo)
    shots, seed = (choice.few_shot, choice.seed) if isinstance(choice, TaskWithShots) else (None, 0)
    # First, since the lack of any is told without reading the items.
    pool = examples_for(choice, model_is_demo=model_is_demo) if shots else ()
    if bare is not None:
        if choice.columns or choice.choices_from:
            raise UsageError(
                f"columns and choices are named for files and data sets, not {DEMO}/{bare}."
            )
        task = load_demo_task(bare)
    else:
        task = load_task(
            name,
            data=choice.data,
            columns=choice.columns or None,
            choices_from=choice.choices_from,
            trust_remote_code=choice.trust_remote_code,
            own_examples=shots is None,
            first=None if shots else first,
        )
    return with_shots(task, pool, shots or 0, seed)


def examples_for(choice: TaskChoice, *, model_is_demo: bool) -> tuple[Item, ...]:
    """The items that are set apart to be shown, answered, before the task's own.

    Raises `UsageError` where there are none.
    """
    from talo_export.tasks.sources import load_examples

    name = choice.task or DEFAULT_TASK
    if _demo_name(name, model_is_demo=model_is_demo) is not None:
        raise UsageError(f"{name} is the demo's, which has no split to take examples from.")
    return load_examples(name, data=choice.data, trust_remote_code=choice.trust_remote_code)


def meaning(asked: str | None, *, model_is_demo: bool) -> str:
    """One sentence: which task a name means, and where the other of that name is.

    What is written in full, with its collection before it, means one thing alone.
    """
    from talo_export.demo.bundled import demo_task_names

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


def absolute_name(task: str | None, *, model_is_demo: bool) -> str:
    """The same task from any directory and for any model: a run is read again by this."""
    from talo_export.tasks.files import find_task_file

    name = task or DEFAULT_TASK
    bare = _demo_name(name, model_is_demo=model_is_demo)
    if bare is not None:
        return f"{DEMO}/{bare}"
    file = find_task_file(name)
    if file is not None:
        category = f":{file.category}" if file.category else ""
        return f"{file.path.resolve()}{category}"
    path = Path(name)
    return str(path.resolve()) if path.is_file() else name


def _demo_name(asked: str, *, model_is_demo: bool) -> str | None:
    """The demo's own name of the task, None where another is meant. Raises for an unknown one."""
    from talo_export.demo.bundled import demo_task_names

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
