"""A finished run read back: its items and its scores, without a forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError
from talo_export.jobs.run import RunDirectory
from talo_export.jobs.task_words import choice_of_run, load_chosen
from talo_export.knockout import Knockout
from talo_export.probing.journal import Journal
from talo_export.probing.scores import ScoreTable
from talo_export.requests.settings import DEMO
from talo_export.tasks.item import Item, Task


@dataclass(frozen=True)
class FinishedRun:
    """What a run measured. `probed` and `unseen` are tables over disjoint items."""

    run: RunDirectory
    request: dict[str, Any]
    document: dict[str, Any]
    task: Task
    probed: ScoreTable
    unseen: ScoreTable | None
    """None where every item was probed, or none was confirmed."""
    everything: ScoreTable
    """All items that were scored, every variant; a knockout has gaps on the unseen ones."""

    @property
    def knockout(self) -> Knockout | None:
        """The selected one."""
        layer = self.document["selected_layer"]
        if layer is None:
            return None
        return Knockout(layer, self.document["scope"], self.document["fill"])


def read_run(path: Path, *, data: Path | None = None, trusted: bool = False) -> FinishedRun:
    """Open the run in `path`; its items come from `data`, or where the probe had them from.

    `trusted` lets a task's YAML run the functions that it names. Raises TaloError where `path` is
    no run, or its task changed.
    """
    run = RunDirectory(path)
    request, document = run.request(), run.result()
    if document is None:
        raise TaloError(f"{path} is not finished: run its probe line again first.")
    if data is None and document.get("data") is not None:
        data = Path(document["data"])
    choice = choice_of_run(request, data=data, trusted=trusted)
    task = load_chosen(choice, model_is_demo=request["model"] == DEMO)
    if task.fingerprint != request["scores"]["task_fingerprint"]:
        raise TaloError(
            f"the items of {request['task_reference']} changed since {path} was made: "
            "probe again with --fresh."
        )
    with Journal.read(run.journal) as journal:
        outcomes = journal.outcomes()
    probed_ids = set(document["probe"]["ids"])
    scored = set(outcomes[None])

    def table(items: Sequence[Item]) -> ScoreTable:
        return ScoreTable.build(items, outcomes)

    return FinishedRun(
        run=run,
        request=request,
        document=document,
        task=task,
        probed=table([item for item in task.items if item.id in probed_ids]),
        unseen=_unseen(task, scored - probed_ids, table),
        everything=table([item for item in task.items if item.id in scored]),
    )


def _unseen(task: Task, ids: set[str], table: Any) -> ScoreTable | None:
    items = [item for item in task.items if item.id in ids]
    return table(items) if items else None
