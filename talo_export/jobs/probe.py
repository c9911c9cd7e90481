"""The main job: sweep, select, confirm, write the patched checkpoint and prove it."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from talo_export.checkpoint.verify import verify_files
from talo_export.errors import ProofError, UsageError
from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.differences import Differences
from talo_export.evidence.layer_plot import draw_layers
from talo_export.evidence.layer_prior import LayerPrior, fit_prior
from talo_export.evidence.noise_floor import noise_floor
from talo_export.evidence.racing import ERROR as RACE_ERROR
from talo_export.evidence.racing import STEP, race_order, still_racing
from talo_export.evidence.selection import (
    DEFAULT_CRITERION,
    RACING_CRITERION,
    Selection,
    criterion_named,
    select,
)
from talo_export.jobs.asking import DEFAULT_PROMPT, Setup
from talo_export.jobs.comparison import comparison_of
from talo_export.jobs.evaluate import Note, Watch, silent, unwatched
from talo_export.jobs.evidence import evidence_of, letters_scored_throughout, power_before
from talo_export.jobs.export import plan_on, write_patched
from talo_export.jobs.identity import model_fingerprint
from talo_export.jobs.priors import earlier_sweeps
from talo_export.jobs.record import record_of_run
from talo_export.jobs.replay import Replay, replay
from talo_export.jobs.report import run_report
from talo_export.jobs.run import RunDirectory, default_directory, write_atomically
from talo_export.jobs.scores import read_run
from talo_export.jobs.task_words import (
    DEFAULT_TASK,
    DEMO,
    TaskWords,
    absolute_name,
    load_words,
    meaning,
)
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import parse_reference, resolve
from talo_export.probing.company import answer_in_company
from talo_export.probing.cost import Cost
from talo_export.probing.engines.checked import EngineName
from talo_export.probing.journal import Journal
from talo_export.probing.race import Race
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import SweepResult, all_knockouts, sweep
from talo_export.probing.team import ALONE, Team
from talo_export.tasks.item import Item, Task
from talo_export.tasks.splits import Split, split_task


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What `talo-export probe` was asked for. `shots` None probes every item and selects none.

    `min_gain` is a share: 0.05 is five points.
    """

    setup: Setup = field(default_factory=Setup)
    task: str | None = None
    data: Path | None = None
    columns: tuple[tuple[str, str], ...] = ()
    few_shot: int = 0
    out: Path | None = None
    shots: int | None = 20
    seed: int = 0
    scoring: Scoring = field(default_factory=Scoring)
    min_gain: float = 0.0
    criterion: str = DEFAULT_CRITERION
    scope: Scope = "attention"
    fill: Fill = "zero"
    engine: EngineName = "auto"
    check: int | Literal["all"] = 1
    skip_too_long: bool = False
    race: float | None = None
    """The race's error rate; None sees every layer through to the end."""
    checkpoint: bool = True
    fresh: bool = False
    noise_floor: bool = False
    """Ask the base once more with other batches."""
    prior: tuple[Path, ...] = ()
    """Earlier runs on the same model that inform the choice."""

    @property
    def ranking(self) -> str:
        """The criterion in force: a race's own default needs scores with bounds."""
        raced = self.race is not None and self.criterion == DEFAULT_CRITERION
        return RACING_CRITERION if raced else self.criterion

    @property
    def words(self) -> TaskWords:
        """What was asked for, to load the task by."""
        return TaskWords(
            name=self.task,
            data=self.data,
            columns=dict(self.columns),
            few_shot=self.few_shot,
            trust_remote_code=self.setup.trust_remote_code,
        )


@dataclass(frozen=True)
class _Findings:
    """What the scores said."""

    probed: SweepResult
    selection: Selection
    confirmed: SweepResult | None
    confirmation: Confirmation | None

    @property
    def knockout(self) -> Knockout | None:
        """The layer to cut; None also where every item was swept and none selected."""
        return None if self.confirmation is None else self.confirmation.knockout

    @property
    def too_long(self) -> tuple[str, ...]:
        """Ids of items left out, of the probing ones first."""
        return self.probed.too_long + (self.confirmed.too_long if self.confirmed else ())

    @property
    def tables(self) -> list[ScoreTable]:
        """All that was scored, in parts without common items."""
        return [part.table for part in (self.probed, self.confirmed) if part is not None]

    @property
    def cost(self) -> Cost:
        return self.probed.cost + (self.confirmed.cost if self.confirmed else Cost())


def run_probe(
    request: ProbeRequest,
    *,
    note: Note = silent,
    progress: Watch = unwatched,
    load: Callable[[], LoadedModel] | None = None,
    team: Team = ALONE,
) -> dict[str, Any]:
    """Do the job, go on with it, or show it if it is done: the document of `probe --json`.

    `load` gives the model of `request.setup` where several probes share it. In a `team` every
    process calls this; all return a document, and only the first writes anything but scores.

    Raises `TaloError` and its kinds, each a sentence for the user; what was scored until then
    stays in the run's journal, and the same request goes on from there.
    """
    parse_reference(request.setup.reference)  # A mistyped model is told before a task is fetched.
    note(meaning(request.task, model_is_demo=request.setup.is_demo))
    task = load_words(request.words, model_is_demo=request.setup.is_demo, seed=request.seed)
    note(f"{task.name}: {len(task)} items from {task.source}, chance {task.chance:.0%}")
    split = split_task(task, request.shots, request.seed)
    base = resolve(request.setup.reference)
    run = RunDirectory(request.out or default_directory(request.setup.name, task.name))
    fingerprint = model_fingerprint(base.directory, base.revision)

    def opened() -> dict[str, Any] | None:
        run.open(_recorded(request, task, fingerprint), fresh=request.fresh)
        return run.result()

    finished = team.lead(opened)
    if finished is not None:
        note(f"{run.path} holds the finished run; --fresh starts over")
        return _with_noise_floor(request, run, finished, progress, load)

    earlier = earlier_sweeps(
        request.prior,
        fingerprint=fingerprint,
        task=task.name,
        scope=request.scope,
        fill=request.fill,
        data=request.data,
    )
    power = power_before(len(split.confirm), request.shots)
    note(power["sentence"])
    loaded = (load or request.setup.load)()
    run.path.mkdir(parents=True, exist_ok=True)  # Of another host's process, its own.
    with Journal.open_own(run.journal, _identity(request, task, fingerprint), team) as journal:
        findings = _measure(request, loaded, split, journal, progress, team, earlier)
    document = _document(request, task, loaded, findings, run)
    if not team.leads:
        return document
    _draw(request, loaded, findings, run)
    document["evidence"] = {
        "power": power,
        **evidence_of(
            findings.probed.table,
            findings.selection,
            None if findings.confirmed is None else findings.confirmed.table,
            findings.confirmation,
            scope=request.scope,
            fill=request.fill,
            seed=request.seed,
            by_letter=letters_scored_throughout(task.items, request.scoring),
        ),
        "noise_floor": _noise_floor(request, loaded, findings.tables, task, progress)
        if request.noise_floor
        else None,
    }
    if request.checkpoint and findings.confirmation is not None:
        document |= _write(request, loaded, findings, document, run, split, note)
    write_atomically(run.vector, json.dumps(_vector(document), indent=1) + "\n")
    run.finish(document)
    run_report([run.path], data=request.data, trusted=request.setup.trust_remote_code)
    return document


def _measure(
    request: ProbeRequest,
    loaded: LoadedModel,
    split: Split,
    journal: Journal,
    progress: Watch,
    team: Team,
    earlier: Mapping[str, Differences],
) -> _Findings:
    """Sweep the probing items, select, and confirm on the others."""
    knockouts = all_knockouts(loaded.decoder, request.scope, request.fill)
    if not knockouts:
        raise UsageError(
            f"{request.setup.name} has no layer whose {request.scope} can be knocked out; see "
            f"`talo-export inspect {request.setup.name}`."
        )

    def score(
        doing: str,
        items: Sequence[Item],
        variants: Sequence[Knockout | None],
        race: Race | None = None,
    ) -> SweepResult:
        return sweep(
            loaded,
            items,
            variants,
            request.scoring,
            journal=journal,
            batch_size=request.setup.batch_size,
            engine=request.engine,
            states=request.setup.states,
            check=request.check,
            skip_too_long=request.skip_too_long,
            race=race,
            team=team,
            progress=progress(f"{doing} {len(items)} items"),
        )

    items, race = _raced(request, split.probe)
    probed = score("probing", items, (None, *knockouts), race)
    selection = select(
        probed.table,
        min_gain=request.min_gain,
        criterion=request.ranking,
        scope=request.scope,
        fill=request.fill,
        n_layers=len(loaded.decoder),
        prior=_prior(request, earlier, probed.table),
    )
    if request.shots is None:
        return _Findings(probed, selection, None, None)
    if selection.knockout is None:
        nothing = confirm(probed.table.take_items([]), None, seed=request.seed)
        return _Findings(probed, selection, None, nothing)
    confirmed = score("confirming", split.confirm, (None, selection.knockout))
    judged = confirm(confirmed.table, selection.knockout, seed=request.seed)
    return _Findings(probed, selection, confirmed, judged)


def _raced(request: ProbeRequest, items: Sequence[Item]) -> tuple[Sequence[Item], Race | None]:
    """The probing items in the order of their race, and its rule; as they are without one."""
    if request.race is None:
        return items, None
    keep = partial(still_racing, total=len(items), criterion=request.ranking, error=request.race)
    return race_order(items, request.seed), Race(STEP, keep)


def _prior(
    request: ProbeRequest, earlier: Mapping[str, Differences], table: ScoreTable
) -> LayerPrior | None:
    """What earlier runs say of the measure that this table's criterion ranks by."""
    if not earlier:
        return None
    return fit_prior(list(earlier.values()), criterion_named(request.ranking, table).measure)


def _noise_floor(
    request: ProbeRequest,
    loaded: LoadedModel,
    tables: Sequence[ScoreTable],
    task: Task,
    progress: Watch,
) -> dict[str, Any]:
    """The base on all items of the run once more, each in a batch."""
    asked = {item_id for table in tables for item_id in table.item_ids}
    items = [item for item in task.items if item.id in asked]
    again = answer_in_company(
        loaded,
        items,
        request.scoring,
        progress=progress(f"the base's own noise on {len(items)} items"),
    )
    return noise_floor(tables, again).to_json()


def _with_noise_floor(
    request: ProbeRequest,
    run: RunDirectory,
    finished: dict[str, Any],
    progress: Watch,
    load: Callable[[], LoadedModel] | None,
) -> dict[str, Any]:
    """A finished run's document, with the noise floor added where it was asked for later."""
    evidence = finished.get("evidence") or {}
    if not request.noise_floor or evidence.get("noise_floor") is not None:
        return finished
    trusted = request.setup.trust_remote_code
    read = read_run(run.path, data=request.data, trusted=trusted)
    tables = [read.probed] if read.unseen is None else [read.probed, read.unseen]
    loaded = (load or request.setup.load)()
    found = _noise_floor(request, loaded, tables, read.task, progress)
    document = finished | {"evidence": evidence | {"noise_floor": found}}
    run.finish(document)
    run_report([run.path], data=request.data, trusted=trusted)
    return document


def _draw(
    request: ProbeRequest, loaded: LoadedModel, findings: _Findings, run: RunDirectory
) -> None:
    draw_layers(
        findings.probed.table,
        findings.selection,
        findings.confirmation if findings.knockout else None,
        run.plot,
        title=f"{Path(request.setup.name).name}, {request.task or DEFAULT_TASK}",
        scope=request.scope,
        fill=request.fill,
        seed=request.seed,
    )


def _write(
    request: ProbeRequest,
    loaded: LoadedModel,
    findings: _Findings,
    document: dict[str, Any],
    run: RunDirectory,
    split: Split,
    note: Note,
) -> dict[str, Any]:
    """Export the chosen knockout and prove it; nothing for a knockout that harms or is none."""
    confirmation, knockout = findings.confirmation, findings.knockout
    if knockout is None or confirmation is None or confirmation.verdict == "harmful":
        return {}
    assert findings.confirmed is not None
    base = resolve(request.setup.reference)
    plan, n_layers = plan_on(base, knockout, trust_remote_code=request.setup.trust_remote_code)
    # What a killed run left is ours and unfinished: the run has no result yet.
    shutil.rmtree(run.checkpoint, ignore_errors=True)
    write_patched(
        base,
        plan,
        run.checkpoint,
        name=request.setup.name,
        n_layers=n_layers,
        record=record_of_run(document, comparison=comparison_of(run.path, document)),
        plot=run.plot.read_bytes(),
    )
    note(f"wrote {run.checkpoint}; proving it in a fresh process")
    files = verify_files(run.checkpoint, base.directory)
    if not files.ok:
        raise ProofError(
            f"{run.checkpoint} is not what was planned: {files.to_json()}. "
            "Check the disk, then run the same line again."
        )
    known = set(findings.confirmed.table.item_ids)
    answered = [item for item in split.confirm if item.id in known]
    answers = replay(
        loaded, run.checkpoint, answered, findings.confirmed.table, knockout, request.scoring
    )
    if not answers.ok:
        raise ProofError(
            f"{run.checkpoint}, loaded by stock transformers, does not answer as the probe did: "
            f"{answers.sentence}"
        )
    return {
        "checkpoint": str(run.checkpoint),
        "proof": {
            "tensors_filled": len(files.tensors_filled),
            "tensors_identical": files.tensors_identical,
            **_replayed(answers),
        },
    }


def _replayed(answers: Replay) -> dict[str, int]:
    return {
        "answers": answers.n,
        "answers_equal": answers.equal,
        "answers_within_rounding": len(answers.rounding),
    }


def _document(
    request: ProbeRequest, task: Task, loaded: LoadedModel, findings: _Findings, run: RunDirectory
) -> dict[str, Any]:
    """`probe --json`, before anything was written."""
    cost, confirmation = findings.cost, findings.confirmation
    return {
        "model": request.setup.name,
        "revision": loaded.revision,
        "task": task.name,
        "task_source": task.source,
        "task_items": len(task),
        "data": None if request.data is None else str(request.data.resolve()),
        "chance": task.chance,
        "scoring": request.scoring.kind,
        "seed": request.seed,
        "shots": request.shots,
        "layers": len(loaded.decoder),
        "fill": request.fill,
        "scope": request.scope,
        "probe": {
            **findings.selection.to_json(),
            "seen": seen_by_layer(findings.probed.table, len(loaded.decoder)),
            "race": None if request.race is None else {"error_rate": request.race, "every": STEP},
            "ids": list(findings.probed.table.item_ids),
        },
        "too_long": list(findings.too_long),
        "selected_layer": None if findings.knockout is None else findings.knockout.layer,
        "confirm": None if confirmation is None else confirmation.to_json(),
        "checkpoint": None,
        "proof": None,
        "run": str(run.path),
        "command": command_line(request),
        "cost": {
            "layer_evaluations": cost.layer_evaluations,
            "layer_evaluations_naive": cost.layer_evaluations_naive,
            "vision_evaluations": cost.vision_evaluations,
            "token_evaluations": cost.token_evaluations,
            "layer_calls": cost.layer_calls,
            "check_evaluations": cost.check_evaluations,
            "seconds": cost.seconds,
            "peak_memory_bytes": cost.peak_memory_bytes,
        },
    }


def seen_by_layer(table: ScoreTable, n_layers: int) -> list[int | None]:
    """How many items each layer's knockout saw; None for a layer that was not swept."""
    seen: list[int | None] = [None] * n_layers
    for row, variant in enumerate(table.variants):
        if variant is not None:
            seen[variant.layer] = int(table.scored[row].sum())
    return seen


def _vector(document: dict[str, Any]) -> dict[str, Any]:
    """The task-layer interaction vector by itself, for analyses."""
    keys = ("model", "revision", "task", "scoring", "seed", "layers", "scope", "fill")
    measured = ("n", "base_accuracy", "gains", "margin_gains", "probability_gains")
    return {key: document[key] for key in keys} | {key: document["probe"][key] for key in measured}


def _identity(request: ProbeRequest, task: Task, fingerprint: str) -> dict[str, str]:
    """Everything an outcome depends on: what the journal is kept under."""
    return {
        "model": request.setup.name,
        "model_fingerprint": fingerprint,
        "task": task.name,
        "task_fingerprint": task.fingerprint,
        "dtype": request.setup.dtype,
        "seed": str(request.seed),
        **request.scoring.identity(),
    }


def _recorded(request: ProbeRequest, task: Task, fingerprint: str) -> dict[str, Any]:
    """The request as the run's manifest keeps it: a choice, once made, is not made again."""
    return {
        "scores": _identity(request, task, fingerprint),
        "model": request.setup.name,
        "task_reference": absolute_name(request.words, model_is_demo=request.setup.is_demo),
        "task_words": request.words.recorded() or None,
        "dtype": request.setup.dtype,
        "scoring": asdict(request.scoring),
        "seed": request.seed,
        "shots": request.shots,
        "min_gain": request.min_gain,
        "criterion": request.criterion,
        "scope": request.scope,
        "fill": request.fill,
        "checkpoint": request.checkpoint,
        "skip_too_long": request.skip_too_long,
        "race": request.race,
        # Runs made without earlier ones keep the manifest they always had.
        **({"prior": sorted(path.name for path in request.prior)} if request.prior else {}),
    }


def command_line(request: ProbeRequest) -> str:
    """The line that gives this run again, options at their defaults left out."""
    default, setup, plain = ProbeRequest(), request.setup, Setup()
    words = ["talo-export", "probe"]

    def option(name: str, value: object, usual: object) -> None:
        if value != usual:
            words.extend([name, str(value)])

    option("--model", setup.name, DEMO)
    option("--task", request.task or DEFAULT_TASK, None)
    option("--data", request.data, None)
    option("--columns", ",".join(f"{ours}={theirs}" for ours, theirs in request.columns), "")
    option("--few-shot", request.few_shot, default.few_shot)
    option("--shots", "all" if request.shots is None else request.shots, default.shots)
    option("--seed", request.seed, default.seed)
    option("--scoring", request.scoring.kind, default.scoring.kind)
    if request.scoring.choice_text is not None:
        words.append("--choice-text" if request.scoring.choice_text else "--choice-letter")
    option("--normalise", request.scoring.normalise, default.scoring.normalise)
    option("--prompt", request.scoring.prompt_style or DEFAULT_PROMPT, DEFAULT_PROMPT)
    option("--system", request.scoring.system, None)
    option("--min-gain", 100 * request.min_gain, 100 * default.min_gain)
    option("--criterion", request.criterion, default.criterion)
    option("--scope", request.scope, default.scope)
    option("--fill", request.fill, default.fill)
    option("--dtype", setup.dtype, plain.dtype)
    if request.skip_too_long:
        words.append("--skip-too-long")
    if request.race is not None:
        words.append("--race")
        option("--race-error", request.race, RACE_ERROR)
    for path in request.prior:
        option("--prior", path, None)
    if request.noise_floor:
        words.append("--noise-floor")
    if setup.trust_remote_code:
        words.append("--trust-remote-code")
    return shlex.join(words)
