"""One self-contained page for one run or several, from what their journals hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from talo_export.checkpoint.manifest import current_versions
from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import Recorded
from talo_export.evidence.analyses.cases import cases
from talo_export.evidence.analyses.stability import stability
from talo_export.evidence.differences import differences
from talo_export.evidence.paired import layer_gains
from talo_export.publish.report import RunPage, render_report
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.readings import ReportRequest
from talo_export.runs.comparison import comparison_of, read_comparison
from talo_export.runs.reading import FinishedRun, read_run

if TYPE_CHECKING:
    from rich.console import Console

DRAWN = 2_000
"""Resamples behind an interval that is drawn and not quoted."""


@dataclass(frozen=True)
class ReportResult(Recorded):
    """The document of `report --json`."""

    report: Path
    runs: tuple[Path, ...]


def run(request: ReportRequest, reporter: Reporter = SILENT) -> ReportResult:
    """Write the page beside the first run, or to `out`.

    `comparison` is the directory of a comparison of the first run's model and task; without it,
    each run's page shows the one that `compare` put beside the run, if any.
    """
    finished = [
        read_run(path, data=request.data, trusted=request.trust_remote_code)
        for path in request.runs
    ]
    target = request.out or finished[0].run.page
    pages = [page_of(run) for run in finished]
    if request.comparison is not None:
        compared = read_comparison(request.comparison, finished[0].result)
        pages[0] = replace(pages[0], comparison=compared)
    page = render_report(
        pages, versions=current_versions(), date=datetime.now(timezone.utc).date().isoformat()
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page)
    return ReportResult(target, request.runs)


def page_of(finished: FinishedRun) -> RunPage:
    """What the page says about one run: its result, and the analyses that cost no forward pass."""
    result, probe = finished.result, finished.result.probe
    sweep = differences(finished.probed, scope=result.scope, fill=result.fill)
    gains = layer_gains(
        finished.probed, scope=result.scope, fill=result.fill, seed=result.seed, resamples=DRAWN
    )
    turned = None
    if finished.knockout is not None and finished.unseen is not None:
        turned = cases(finished.unseen, finished.knockout)
    return RunPage(
        result=result,
        intervals={layer: interval for layer, (_, interval) in gains.items()},
        stability=stability(
            sweep, criterion=probe.criterion, min_gain=probe.min_gain, seed=result.seed
        ),
        cases=turned,
        items={item.id: item for item in finished.task.items},
        comparison=comparison_of(finished.run.path, result),
    )


def summary(result: ReportResult) -> str:
    """The one sentence that `--quiet` prints."""
    return str(result.report)


def show(result: ReportResult, to: Console) -> None:
    """Where the page is."""
    to.print(f"wrote {result.report}")
