"""The paper's analyses over finished runs: each gives a JSON value and a figure.

Most read the journals and cost no forward pass. `transfer`, `side-effects`, `fills`, `modules` and
`pairs` need cells that a probe does not score: those alone are scored, into the runs' journals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from talo_export.checkpoint.staging import write_atomically
from talo_export.errors import TaloError, UsageError
from talo_export.evidence.analyses.alternatives import compare_fills, compare_modules
from talo_export.evidence.analyses.cases import cases
from talo_export.evidence.analyses.clusters import cluster_tasks
from talo_export.evidence.analyses.pairs import pairs
from talo_export.evidence.analyses.shots import shots_curve
from talo_export.evidence.analyses.side_effects import side_effects
from talo_export.evidence.analyses.stability import stability
from talo_export.evidence.analyses.transfer import TaskRun, transfer
from talo_export.evidence.analyses.vectors import interaction_vectors, write_vectors
from talo_export.evidence.calibration import calibrate_answers
from talo_export.evidence.differences import Differences, differences
from talo_export.evidence.figures.alternatives import draw_alternatives
from talo_export.evidence.figures.choices import draw_shots, draw_stability
from talo_export.evidence.figures.effects import draw_answers, draw_cases, draw_side_effects
from talo_export.evidence.figures.heatmap import draw_heatmap
from talo_export.evidence.figures.pairs import draw_pairs
from talo_export.evidence.figures.transfer import draw_transfer
from talo_export.jobs.evaluate import Watch, unwatched
from talo_export.jobs.evidence import letters_scored_throughout
from talo_export.jobs.more_scores import Load, loader, score_more, second_sweep
from talo_export.jobs.scores import FinishedRun, read_run
from talo_export.jobs.side_effects import record_side_effects
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts
from talo_export.requests.readings import Analysis, AnalyzeRequest


class Result(Protocol):
    """What every analysis gives."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""


Draw = Callable[[Path, bool], object]
"""Draws to a path, and to an SVG beside it where asked."""


@dataclass(frozen=True)
class Runs:
    """The runs an analysis is about, by task, and how to score what they lack."""

    by_task: Mapping[str, FinishedRun]
    load: Load
    progress: Watch
    seed: int
    full: bool = False
    """Of pairs: every first layer, not only the best."""

    def only(self, kind: str) -> FinishedRun:
        """The one run, for analyses of one. Raises UsageError where there are several."""
        first = next(iter(self.by_task.values()))
        if len(self.by_task) != 1:
            raise UsageError(
                f"{kind} is about one run, and {len(self.by_task)} were named: call it once for "
                f"each, as in `talo-export analyze {kind} {first.run.path}`."
            )
        return first

    def probed(self) -> dict[str, ScoreTable]:
        """Every task's probing table."""
        return {task: run.probed for task, run in self.by_task.items()}

    def sweeps(self) -> dict[str, Differences]:
        """Every task's probing differences, for the scope and fill it was swept with."""
        return {
            task: differences(run.probed, scope=run.request["scope"], fill=run.request["fill"])
            for task, run in self.by_task.items()
        }


def run_analysis(request: AnalyzeRequest, progress: Watch = unwatched) -> dict[str, Any]:
    """Do one analysis over the runs; write `<kind>.json` and figures to `out`.

    `full` pairs every layer with every other instead of the best with all. Side effects are also
    kept in the first run, whose page and card then state them.

    Raises UsageError for runs of different models, TaloError where what it needs was not measured.
    """
    kind, svg, trusted = request.kind, request.svg, request.trust_remote_code
    out = request.out or request.runs[0] / "analysis"
    found = [read_run(path, data=request.data, trusted=trusted) for path in request.runs]
    fingerprints = {one.request["scores"]["model_fingerprint"] for one in found}
    if len(fingerprints) > 1:
        models = " and ".join(sorted({str(one.request["model"]) for one in found}))
        raise UsageError(
            f"the runs are about different models ({models}): analyse one model at a time."
        )
    runs = Runs(
        {one.task.name: one for one in found},
        loader(found[0], trusted=trusted),
        progress,
        request.seed,
        request.full,
    )
    if len(runs.by_task) < len(found):
        names = [one.task.name for one in found]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two of the runs are about the same task, {twice}: name one of them.")
    result, draw = ANALYSES[kind](runs)
    if kind == "side-effects":
        record_side_effects(found[0], result.to_json(), data=request.data)
    out.mkdir(parents=True, exist_ok=True)
    document = {"analysis": kind, "runs": [str(path) for path in request.runs], **result.to_json()}
    write_atomically(out / f"{kind}.json", json.dumps(document, indent=1) + "\n")
    files = [out / f"{kind}.json"]
    if kind == "vectors":
        files += [_vectors(runs, out / f"vectors{ending}") for ending in (".csv", ".parquet")]
    draw(out / f"{kind}.png", svg)
    files += [out / f"{kind}{ending}" for ending in ((".png", ".svg") if svg else (".png",))]
    return document | {"files": [str(file) for file in files]}


def _vectors(runs: Runs, path: Path) -> Path:
    return write_vectors(interaction_vectors(runs.probed()), path)


def _interaction(runs: Runs) -> tuple[Result, Draw]:
    vectors = interaction_vectors(runs.probed())
    title = "Task-layer interaction"
    return vectors, lambda path, svg: draw_heatmap(vectors, path, title=title, svg=svg)


def _heatmap(runs: Runs) -> tuple[Result, Draw]:
    vectors = interaction_vectors(runs.probed())
    sweeps = runs.sweeps()
    found = None
    # Of tasks swept in different layers there are no correlations to sort by.
    if len(sweeps) >= 3 and len({sweep.layers for sweep in sweeps.values()}) == 1:
        found = cluster_tasks(sweeps, seed=runs.seed, resamples=1)
    title = "Task-layer interaction" + (", tasks sorted by cluster" if found else "")
    return vectors, lambda path, svg: draw_heatmap(
        vectors, path, title=title, clusters=found, tree=False, svg=svg
    )


def _clusters(runs: Runs) -> tuple[Result, Draw]:
    vectors = interaction_vectors(runs.probed())
    found = cluster_tasks(runs.sweeps(), seed=runs.seed)
    title = f"Tasks by correlation of their vectors, {found.linkage} linkage"
    return found, lambda path, svg: draw_heatmap(
        vectors, path, title=title, clusters=found, svg=svg
    )


def _stability(runs: Runs) -> tuple[Result, Draw]:
    run = runs.only("stability")
    found = stability(
        runs.sweeps()[run.task.name],
        criterion=run.document["probe"]["criterion"],
        min_gain=run.request["min_gain"],
        seed=runs.seed,
    )
    title = f"{run.task.name}: would other items have chosen the same layer?"
    return found, lambda path, svg: draw_stability(found, path, title=title, svg=svg)


def _shots(runs: Runs) -> tuple[Result, Draw]:
    run = runs.only("shots")
    found = shots_curve(runs.sweeps()[run.task.name], seed=runs.seed)
    title = f"{run.task.name}: gain on unseen items against shots"
    return found, lambda path, svg: draw_shots(found, path, title=title, svg=svg)


def _cases(runs: Runs) -> tuple[Result, Draw]:
    run = runs.only("cases")
    knockout = _chosen(run)
    found = cases(run.probed if run.unseen is None else run.unseen, knockout)
    title = f"{run.task.name}: answers that turned without layer {knockout.layer}"
    return found, lambda path, svg: draw_cases(found, path, title=title, svg=svg)


def _answers(runs: Runs) -> tuple[Result, Draw]:
    run = runs.only("answers")
    knockout = _chosen(run)
    found = calibrate_answers(
        run.probed if run.unseen is None else run.unseen,
        knockout,
        seed=runs.seed,
        same_choices=letters_scored_throughout(run.task.items, Scoring(**run.request["scoring"]))
        or None,
    )
    if found is None:
        raise TaloError(
            f"{run.run.path} has no answers whose preference could be taken out: its choices "
            "differ from item to item, or only text was generated. Probe lettered choices with "
            "--scoring likelihood."
        )
    title = f"{run.task.name}: is it the layer or the letter?"
    return found, lambda path, svg: draw_answers(found, path, title=title, svg=svg)


def _transfer(runs: Runs) -> tuple[Result, Draw]:
    chosen = {run.knockout for run in runs.by_task.values()} - {None}
    if not chosen:
        raise TaloError(
            "none of the runs selected a layer, so there is nothing to transfer; "
            "`talo-export analyze heatmap` shows what every layer does on every task."
        )
    variants = sorted(knockout for knockout in chosen if knockout is not None)
    tasks = {
        task: TaskRun(run.knockout, run.probed, _unseen(runs, run, variants), _contents(run))
        for task, run in runs.by_task.items()
    }
    found = transfer(tasks, seed=runs.seed)
    title = "Gain of the layer chosen on one task, applied to another"
    return found, lambda path, svg: draw_transfer(found, path, title=title, svg=svg)


def _side_effects(runs: Runs) -> tuple[Result, Draw]:
    own, *others = runs.by_task.values()
    if not others:
        raise UsageError(
            "side-effects needs the run that chose a layer, then runs of other tasks: "
            f"`talo-export analyze side-effects {own.run.path} OTHER_RUN...`."
        )
    knockout = _chosen(own)
    tables = {run.task.name: _unseen(runs, run, [knockout]) for run in others}
    found = side_effects(knockout, tables, seed=runs.seed, own_task=own.task.name)
    title = f"Layer {knockout.layer}, chosen for {own.task.name}, on other tasks"
    return found, lambda path, svg: draw_side_effects(found, path, title=title, svg=svg)


def _fills(runs: Runs) -> tuple[Result, Draw]:
    tables = _probed_with(runs, [("attention", fill) for fill in ("zero", "uniform", "mean")])
    found = compare_fills(tables, seed=runs.seed)
    title = "Zero against uniform against mean"
    return found, lambda path, svg: draw_alternatives(found, path, title=title, svg=svg)


def _modules(runs: Runs) -> tuple[Result, Draw]:
    tables = _probed_with(runs, [(scope, "zero") for scope in ("attention", "mlp", "layer")])
    found = compare_modules(tables, seed=runs.seed)
    title = "Attention against feed-forward against the whole layer"
    return found, lambda path, svg: draw_alternatives(found, path, title=title, svg=svg)


def _pairs(runs: Runs) -> tuple[Result, Draw]:
    run = runs.only("pairs")
    scope, fill = run.request["scope"], run.request["fill"]
    singles = [
        v for v in run.probed.variants if v is not None and (v.scope, v.fill) == (scope, fill)
    ]
    best = max(singles, key=lambda one: run.probed.accuracy[run.probed.row(one)])
    swept = {
        first: second_sweep(
            run,
            first,
            # A pair has no order: the other half of the matrix is the same.
            [one for one in singles if one != first and (first == best or one > first)],
            load=runs.load,
            progress=runs.progress,
        )
        for first in (singles if runs.full else [best])
        if first == best or first != singles[-1]
    }
    found = pairs(
        run.probed,
        {first: one.table for first, one in swept.items()},
        seed=runs.seed,
        layer_evaluations=sum(one.cost.layer_evaluations for one in swept.values()),
        seconds=sum(one.cost.seconds for one in swept.values()),
    )
    title = f"{run.task.name}: a second layer" + ("" if runs.full else f" after layer {best.layer}")
    return found, lambda path, svg: draw_pairs(found, path, title=title, svg=svg)


ANALYSES: dict[Analysis, Callable[[Runs], tuple[Result, Draw]]] = {
    "vectors": _interaction,
    "heatmap": _heatmap,
    "clusters": _clusters,
    "transfer": _transfer,
    "stability": _stability,
    "fills": _fills,
    "modules": _modules,
    "pairs": _pairs,
    "cases": _cases,
    "answers": _answers,
    "side-effects": _side_effects,
    "shots": _shots,
}


def _chosen(run: FinishedRun) -> Knockout:
    if run.knockout is None:
        raise TaloError(
            f"{run.run.path} selected no layer, so there is nothing to analyse here; "
            f"`talo-export analyze vectors {run.run.path}` shows every layer's gain."
        )
    return run.knockout


def _unseen(runs: Runs, run: FinishedRun, variants: Sequence[Knockout]) -> ScoreTable:
    """A task's items that it did not probe with, under these knockouts."""
    probed = set(run.probed.item_ids)
    items = [item for item in run.task.items if item.id not in probed]
    return score_more(run, items, variants, load=runs.load, progress=runs.progress)


def _probed_with(runs: Runs, kinds: Sequence[tuple[Any, Any]]) -> dict[str, ScoreTable]:
    """Every task's probing items under every layer's knockout of every kind."""
    decoder = runs.load().decoder
    variants = [one for scope, fill in kinds for one in all_knockouts(decoder, scope, fill)]
    tables = {}
    for task, run in runs.by_task.items():
        probed = set(run.probed.item_ids)
        items = [item for item in run.task.items if item.id in probed]
        tables[task] = score_more(run, items, variants, load=runs.load, progress=runs.progress)
    return tables


def _contents(run: FinishedRun) -> dict[str, str]:
    """What each item asks, as a hash: the same question in two benchmarks has the same."""
    return {
        item.id: hashlib.sha256(
            json.dumps(
                [item.question, item.prompt, item.choices, [one.sha256 for one in item.images]]
            ).encode()
        ).hexdigest()
        for item in run.task.items
    }
