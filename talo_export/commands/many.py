"""Many tasks in one command: one loaded model, a table at the end, and no failure but its own.

What is done with each task is the caller's. Here is which tasks a pattern means, and that the
failure of one is noted with its sentence while the others go on. Only a model that cannot be had
ends everything: no task could be done with it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from talo_export.demo.bundled import demo_task_names
from talo_export.errors import TaloError, UsageError
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import follow_adapter, resolve
from talo_export.reporting import Reporter
from talo_export.requests.settings import DEFAULT_TASK, DEMO, InferenceSettings, TaskChoice
from talo_export.runs.loading import load_for_inference, settle_dtype
from talo_export.tasks.files import find_task_file
from talo_export.tasks.sources import task_references
from talo_export.wording import first_of, one_line

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

SHOWN = 4
"""Tasks named in a failure that struck several."""


def means_many(task: str | None) -> bool:
    """Whether a task's name is a pattern: `all`, or with a wildcard; a file is one task, whatever
    its name, and with `:*` each of its categories."""
    if task is None:
        return False
    file = find_task_file(task)
    if file is not None:
        return file.category == "*"
    return not Path(task).is_file() and (task == "all" or any(sign in task for sign in "*?"))


def references(choice: TaskChoice, *, model_is_demo: bool) -> tuple[str, ...]:
    """The tasks that the chosen pattern names, each as a reference of its own.

    `all` means the demo's tasks where the demo is the model, else the whole catalogue. Raises
    UsageError where nothing matches.
    """
    pattern = choice.task or DEFAULT_TASK
    demo = tuple(f"{DEMO}/{name}" for name in demo_task_names())
    if model_is_demo and pattern in ("all", "*"):
        return demo
    if pattern.startswith(f"{DEMO}/"):
        found = tuple(name for name in demo if fnmatchcase(name, pattern))
        if not found:
            raise UsageError(f"no task matches {pattern!r}; `talo-export tasks` lists them all.")
        return found
    return task_references(pattern, columns=choice.columns, choices_from=choice.choices_from)


@dataclass
class LazyModel:
    """Loads the model at the first call, for all tasks; `failure` is what kept it from loading."""

    settings: InferenceSettings
    reporter: Reporter
    loaded: LoadedModel | None = None
    failure: BaseException | None = None

    def __call__(self) -> LoadedModel:
        if self.loaded is None:
            try:
                self.loaded = load_for_inference(settle_dtype(self.settings, self.reporter))
            except BaseException as error:
                self.failure = error
                raise
        return self.loaded


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, and why, in a sentence."""

    task: str
    error: str


@dataclass
class Outcomes(Generic[T]):
    """What came of the tasks: a result of each that was done, a sentence of each that failed."""

    results: list[T] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    """Tracebacks of failures that nobody foresaw: bugs, ours or a library's."""


def each_task(
    wanted: Sequence[str],
    settings: InferenceSettings,
    do: Callable[[str, LazyModel], T],
    reporter: Reporter,
) -> Outcomes[T]:
    """Do every task in its turn. Raises only what concerns them all: a model that is not there."""
    resolve(follow_adapter(settings.model_reference)[0])
    model = LazyModel(settings, reporter)
    outcomes: Outcomes[T] = Outcomes()
    advance = reporter.phase("tasks", len(wanted), "tasks")
    for before, reference in enumerate(wanted):
        advance(before, name=reference)
        try:
            outcomes.results.append(do(reference, model))
        except Exception as error:
            if error is model.failure:
                raise
            # Whatever it was, hours of other tasks must not be lost to it; it is told below.
            known = isinstance(error, (TaloError, OSError))
            sentence = one_line(str(error) if known else f"{type(error).__name__}: {error}")
            reporter.note(f"{reference} failed: {sentence}")
            outcomes.failed.append(Failure(reference, sentence))
            if not known:
                outcomes.traces.append(f"{reference}\n{traceback.format_exc()}")
    return outcomes


def show_failures(failed: Sequence[Failure], to: Console) -> None:
    """Each failure's sentence once, with the tasks it struck."""
    by_error: dict[str, list[str]] = {}
    for failure in failed:
        by_error.setdefault(failure.error, []).append(failure.task)
    for error, tasks in by_error.items():
        to.print(f"failed: {first_of(tasks, SHOWN)}: {error}", style="red")
