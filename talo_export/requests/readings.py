"""What can be asked of what is there: runs, tasks, this machine. Nothing here makes a run."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Annotated

from talo_export.errors import UsageError
from talo_export.evidence.analyses import names, summary
from talo_export.requests.fields import (
    Argument,
    Coerced,
    Flag,
    MaybePath,
    MaybeReference,
    Paths,
    Request,
    frozen,
    path_if_any,
    paths,
    reference_if_any,
)
from talo_export.requests.settings import (
    OUTPUT,
    SEARCH,
    TASK,
    Data,
    Model,
    ModelChoice,
    PromptSettings,
    Seed,
    TaskWithShots,
    TrustCode,
)


@frozen
class AnalyzeRequest(Request):
    kind: Annotated[str, Argument("ANALYSIS", "One of the analyses named above.")]
    runs: Annotated[Paths, Argument(
        "RUN", "Finished runs of one model; side-effects: its own first."
    )] = Coerced(paths)  # fmt: skip
    _: KW_ONLY
    out: Annotated[MaybePath, Flag(
        "--out -o DIR", OUTPUT, "Where JSON and figures go.", default="analysis in the first run"
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    svg: Annotated[bool, Flag("--svg/--no-svg", OUTPUT, "Draw SVG beside PNG.")] = True
    full: Annotated[bool, Flag(
        "--full", SEARCH, "With pairs: every layer with every other, not only the best with all."
    )] = False  # fmt: skip
    seed: Seed = 0
    data: Data = Coerced(path_if_any, default=None)
    trust_remote_code: TrustCode = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in names():
            raise UsageError(f"{self.kind!r} is no analysis; there are {', '.join(names())}.")
        if not self.runs:
            raise UsageError("analyze needs the directory of at least one finished run.")
        if self.full and self.kind != "pairs":
            raise UsageError(f"--full is about pairs; {self.kind} has no such matrix.")


AnalyzeRequest.__doc__ = "\n".join(
    (
        "Make one of the paper's analyses: JSON and a figure.\n",
        *(f"- `{name}`: {summary(name)}\n" for name in names()),
        "transfer, side-effects, fills, modules and pairs score what the runs lack, once; the "
        "others read the journalled scores alone.",
    )
)


@frozen
class ReportRequest(Request):
    """Write one page about runs: layers, confirmation, stability, cases with pictures, commands.

    It needs no network and no JavaScript, in light and in dark.
    """

    runs: Annotated[Paths, Argument("RUN", "Finished runs.")] = Coerced(paths)
    _: KW_ONLY
    out: Annotated[MaybePath, Flag(
        "--out -o FILE", OUTPUT, "The page to write.", default="report.html in the first run"
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    comparison: Annotated[MaybePath, Flag(
        "--comparison DIR", OUTPUT, "Show this comparison, made by `talo-export compare`.",
        default="RUN.compare"
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    data: Data = Coerced(path_if_any, default=None)
    trust_remote_code: TrustCode = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.runs:
            raise UsageError("report needs the directory of at least one finished run.")


@frozen
class TasksRequest(PromptSettings, TaskWithShots, ModelChoice):
    """List the tasks with size, chance level, scoring and source; show one; check a file.

    `talo-export tasks check FILE` reads every row and says what a probe could show with it,
    before any model is loaded. `talo-export tasks NAME --show 3 --model M` prints what the model
    is sent, and saves the pictures.
    """

    task: Annotated[MaybeReference, Argument(
        "PATTERN", "Names to list, such as 'mmstar/*'; or `check`, followed by a file of items."
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    file: Annotated[MaybeReference, Argument(
        "FILE", "With `check`: the file to validate."
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    _: KW_ONLY
    model: Model = Coerced(reference_if_any, default=None)
    show: Annotated[int | None, Flag(
        "--show N", TASK, "Print the prompts of the task's first N items as --model is sent them.",
        least=1
    )] = None  # fmt: skip
    against: Annotated[MaybeReference, Flag(
        "--against TASK", TASK,
        "With `check`: another split or task, with which nothing should be shared."
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    out: Annotated[MaybePath, Flag(
        "--out -o DIR", OUTPUT, "With --show: where the pictures are saved.", default="shown/<task>"
    )] = Coerced(path_if_any, default=None)  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.file is not None and not self.checks:
            raise UsageError(f"{self.file!r} is one word too many: quote a pattern with its '*'.")
        if self.checks and self.file is None:
            raise UsageError("tasks check needs a file of items, or the name of a task.")

    @property
    def checks(self) -> bool:
        """Whether a file is checked."""
        return self.task == "check"


@frozen
class LoadTaskRequest(TaskWithShots):
    """Read a task by its name (`demo/maps`, `scienceqa/maps`) or from a file of items."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task is None:
            raise UsageError("load_task needs a task: a name (`tasks` lists them) or a file.")


@frozen
class DoctorRequest(Request):
    """Tell versions, devices, memory, disk and Hub; of a token, only whether it is there.

    Exit status 1 where something serious is missing.
    """
