"""One of the paper's analyses over finished runs: a JSON document and a figure.

What each one does is its own file in `evidence/analyses`. Most read the journals and cost no
forward pass; the cells that a probe does not score are scored here, once, into those journals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import Recorded
from talo_export.commands.side_effects import record_side_effects
from talo_export.errors import UsageError
from talo_export.evidence.analyses import analysis
from talo_export.evidence.analyses.pairs import Pairs
from talo_export.evidence.analyses.side_effects import SideEffects
from talo_export.evidence.runs import Result, Runs, TaskScores
from talo_export.knockout import Fill, Knockout, Scope, knockout_of
from talo_export.probing.scores import ScoreTable
from talo_export.probing.sweep import SweepResult, all_knockouts
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import ExportRequest
from talo_export.requests.fields import command_line
from talo_export.requests.readings import AnalyzeRequest
from talo_export.runs.meaning import letters_scored_throughout
from talo_export.runs.more_scores import Load, loader, score_more, second_sweep
from talo_export.runs.reading import FinishedRun, read_run

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class AnalysisResult(Recorded):
    """What an analysis says, and where its values and figures lie."""

    analysis: str
    runs: tuple[Path, ...]
    result: Result
    """`Clusters`, `SideEffects` or another, by the analysis."""
    files: tuple[Path, ...]
    export: str | None = None
    """The line that cuts out what it names."""

    def to_json(self) -> dict[str, object]:
        """The document of `analyze --json`: the result's own keys between the others."""
        export = {} if self.export is None else {"export": self.export}
        return {**self.values(), "files": [str(file) for file in self.files], **export}

    def values(self) -> dict[str, object]:
        """What is written beside the figures."""
        runs = [str(path) for path in self.runs]
        return {"analysis": self.analysis, "runs": runs, **self.result.to_json()}

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        return str(self.values().get("sentence", ""))


def run(request: AnalyzeRequest, reporter: Reporter = SILENT) -> AnalysisResult:
    """Do one analysis over the runs; write `<kind>.json` and figures to `out`.

    `full` pairs every layer with every other instead of the best with all. Side effects are also
    kept in the first run, whose page and card then state them.

    Raises UsageError for runs of different models, TaloError where what it needs was not measured.
    """
    kind, data, trusted = request.kind, request.data, request.trust_remote_code
    out = request.out or request.runs[0] / "analysis"
    analyse = analysis(kind)
    finished = [read_run(path, data=data, trusted=trusted) for path in request.runs]
    by_task = _by_task(finished)
    more = _More(by_task, loader(finished[0], trusted=trusted), reporter)
    scores = {task: _scores(run) for task, run in by_task.items()}
    analysed = analyse(Runs(scores, more, request.seed, request.full))
    if isinstance(analysed.result, SideEffects):
        record_side_effects(finished[0], analysed.result, data=data)
    out.mkdir(parents=True, exist_ok=True)
    endings = (".json", *analysed.files, ".png", *((".svg",) if request.svg else ()))
    files = tuple(out / f"{kind}{ending}" for ending in endings)
    line = _export_line(analysed.result, finished[0])
    result = AnalysisResult(kind, tuple(request.runs), analysed.result, files, line)
    write_atomically(files[0], json.dumps(result.values(), indent=1) + "\n")
    for ending, write in analysed.files.items():
        write(out / f"{kind}{ending}")
    analysed.draw(out / f"{kind}.png", svg=request.svg)
    return result


def _export_line(result: Result, run: FinishedRun) -> str | None:
    """Of pairs: the line that cuts the best one out."""
    if not isinstance(result, Pairs):
        return None
    pair = knockout_of(result.best.layers, run.result.scope, run.result.fill)
    return command_line(ExportRequest.of(pair, run.result.model, "OUT"))


def _by_task(finished: Sequence[FinishedRun]) -> dict[str, FinishedRun]:
    """The runs by their tasks. Raises UsageError for several models, and for one task twice."""
    if len({run.request.scores["model_fingerprint"] for run in finished}) > 1:
        models = " and ".join(sorted({run.result.model for run in finished}))
        raise UsageError(
            f"the runs are about different models ({models}): analyse one model at a time."
        )
    names = [run.task.name for run in finished]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of the runs are about the same task, {name}: name one of them.")
    return dict(zip(names, finished, strict=True))


def _scores(run: FinishedRun) -> TaskScores:
    """What the run's analyses are given."""
    return TaskScores(
        task=run.task.name,
        where=run.run.path,
        probed=run.probed,
        unseen=run.unseen,
        knockout=run.knockout,
        scope=run.result.scope,
        fill=run.result.fill,
        criterion=run.result.probe.criterion,
        min_gain=run.result.probe.min_gain,
        lettered=letters_scored_throughout(run.task.items, run.request.scoring),
    )


@dataclass(frozen=True)
class _More:
    """Scores what the runs lack, into their journals."""

    runs: Mapping[str, FinishedRun]
    load: Load
    reporter: Reporter

    def unseen(self, task: str, variants: Sequence[Knockout]) -> ScoreTable:
        return self._scored(self.runs[task], variants, probed=False)

    def probed_with(self, kinds: Sequence[tuple[Scope, Fill]]) -> dict[str, ScoreTable]:
        decoder = self.load().decoder
        variants = [one for scope, fill in kinds for one in all_knockouts(decoder, scope, fill)]
        return {t: self._scored(run, variants, probed=True) for t, run in self.runs.items()}

    def second_sweep(self, task: str, first: Knockout, seconds: Sequence[Knockout]) -> SweepResult:
        run = self.runs[task]
        return second_sweep(run, first, seconds, load=self.load, reporter=self.reporter)

    def _scored(
        self, run: FinishedRun, variants: Sequence[Knockout], *, probed: bool
    ) -> ScoreTable:
        known = set(run.probed.item_ids)
        items = [item for item in run.task.items if (item.id in known) is probed]
        return score_more(run, items, variants, load=self.load, reporter=self.reporter)

    def contents(self, task: str) -> dict[str, str]:
        return {
            item.id: hashlib.sha256(
                json.dumps(
                    [item.question, item.prompt, item.choices, [one.sha256 for one in item.images]]
                ).encode()
            ).hexdigest()
            for item in self.runs[task].task.items
        }


def summary(result: AnalysisResult) -> str:
    """The one sentence that `--quiet` prints."""
    return result.sentence or str(result.files[0])


def show(result: AnalysisResult, to: Console) -> None:
    """What it says, and the files."""
    for line in (*filter(None, [result.sentence]), *map(str, result.files)):
        to.print(line)
    if result.export is not None:
        to.print(f"export it: {result.export}", style="dim", soft_wrap=True, markup=False)
