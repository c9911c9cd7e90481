"""A finished run read back: its items and its scores, without a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.probing.journal import Journal
from talo_export.probing.scores import ScoreTable
from talo_export.requests.settings import DEMO, TaskWithShots
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.directory import RunDirectory, RunRequest, TaskWords
from talo_export.runs.result import ProbeResult
from talo_export.tasks.item import Task


@dataclass(frozen=True)
class FinishedRun:
    """What a run measured. `probed` and `unseen` are tables over disjoint items."""

    run: RunDirectory
    request: RunRequest
    result: ProbeResult
    task: Task
    probed: ScoreTable
    unseen: ScoreTable | None
    """None where every item was probed, or none was confirmed."""
    everything: ScoreTable
    """All items that were scored, every variant; a knockout has gaps on the unseen ones."""

    @property
    def knockout(self) -> Knockout | None:
        """The selected one."""
        return self.result.knockout


def task_of_run(run: RunDirectory, *, data: Path | None = None, trusted: bool = False) -> Task:
    """The items that a finished run was about, as `read_run` has them; raises as that does."""
    request, result = run.request(), run.finished()
    words = request.task_words or TaskWords()
    choice = TaskWithShots(
        task=request.task_reference,
        data=data or result.data,
        columns=words.columns,
        choices_from=words.choices_from,
        few_shot=words.few_shot,
        seed=result.seed,
        trust_remote_code=trusted,
    )
    task = load_chosen(choice, model_is_demo=result.model == DEMO)
    if task.fingerprint != request.scores["task_fingerprint"]:
        raise TaloError(
            f"the items of {request.task_reference} changed since {run.path} was made: "
            "probe again with --fresh."
        )
    return task


def read_run(path: Path, *, data: Path | None = None, trusted: bool = False) -> FinishedRun:
    """Open the run in `path`; its items come from `data`, or where the probe had them from.

    `trusted` lets a task's YAML run the functions that it names. Raises TaloError where `path` is
    no run, or its task changed.
    """
    run = RunDirectory(path)
    request, result = run.request(), run.finished()
    task = task_of_run(run, data=data, trusted=trusted)
    with Journal.read(run.journal) as journal:
        outcomes = journal.outcomes()
    probed_ids = set(result.probe.ids)
    scored = set(outcomes[None])
    unseen = [item for item in task.items if item.id in scored - probed_ids]
    return FinishedRun(
        run=run,
        request=request,
        result=result,
        task=task,
        probed=ScoreTable.build([i for i in task.items if i.id in probed_ids], outcomes),
        unseen=ScoreTable.build(unseen, outcomes) if unseen else None,
        everything=ScoreTable.build([i for i in task.items if i.id in scored], outcomes),
    )
