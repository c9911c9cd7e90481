"""Side effects, once measured, stand where people read: in the run, its page and its card.

Those that other runs on the same model hold already cost nothing: every task's own sweep has
scored every layer's knockout on its probing items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from talo_export.commands import report
from talo_export.evidence.analyses.side_effects import SideEffects, side_effects
from talo_export.evidence.paired import seen_by_both
from talo_export.publish.renewal import renew_run_card
from talo_export.requests.readings import ReportRequest
from talo_export.runs.reading import FinishedRun, read_run


def record_side_effects(run: FinishedRun, found: SideEffects, *, data: Path | None = None) -> None:
    """Keep what the knockout does to other tasks in the run's result, page and card.

    Only the card and the manifest change in the checkpoint: no weight is touched.
    """
    run.run.finish(replace(run.result, side_effects=found))
    report.run(ReportRequest([run.run.path], data=data))
    renew_run_card(run.run)


def note_side_effects(
    paths: Sequence[Path], *, data: Path | None = None, trusted: bool = False
) -> None:
    """Record in every run that chose a layer what its knockout did to the other runs' items."""
    runs = [read_run(path, data=data, trusted=trusted) for path in paths]
    for own in runs:
        found = effects_at_hand(own, [other for other in runs if other is not own])
        if found is not None:
            record_side_effects(own, found, data=data)


def effects_at_hand(own: FinishedRun, others: Sequence[FinishedRun]) -> SideEffects | None:
    """The chosen knockout on the items that other runs have scored with it; None if on none."""
    knockout = own.knockout
    if knockout is None:
        return None
    tables = {
        other.task.name: other.everything
        for other in others
        if knockout in other.everything.variants
        and bool(seen_by_both(other.everything, knockout).any())
    }
    if not tables:
        return None
    return side_effects(knockout, tables, seed=own.result.seed, own_task=own.task.name)
