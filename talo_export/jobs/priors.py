"""Earlier runs on the same model, read to inform a choice (`probe --prior RUN`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.evidence.differences import Differences, differences
from talo_export.jobs.scores import read_run
from talo_export.knockout import Fill, Scope


def earlier_sweeps(
    runs: Sequence[Path],
    *,
    fingerprint: str,
    task: str,
    scope: Scope,
    fill: Fill,
    data: Path | None = None,
) -> dict[str, Differences]:
    """What each earlier run's probing items said of every layer, by task.

    Raises UsageError where a run is about another model, the very task to be probed (its items
    would choose twice), a task named before, or another kind of knockout.
    """
    found: dict[str, Differences] = {}
    for path in runs:
        run = read_run(path, data=data)
        if run.request["scores"]["model_fingerprint"] != fingerprint:
            raise UsageError(
                f"{path} is about another model, {run.request['model']}: what its layers do says "
                "nothing here. Name runs on the same model."
            )
        if run.task.name == task:
            raise UsageError(
                f"{path} is about {task} itself: its items would choose the layer twice. Name runs "
                "on other tasks."
            )
        if run.task.name in found:
            raise UsageError(f"two of the earlier runs are about {run.task.name}: name one.")
        asked = (run.request["scope"], run.request["fill"])
        if asked != (scope, fill):
            raise UsageError(
                f"{path} knocked out {asked[0]} with {asked[1]}, not {scope} with {fill}."
            )
        found[run.task.name] = differences(run.probed, scope=scope, fill=fill)
    return found
