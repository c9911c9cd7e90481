"""The main job: sweep, select, confirm, write the patched checkpoint and prove it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.proof import place_of
from talo_export.checkpoint.staging import write_atomically
from talo_export.checkpoint.verify import verify_files
from talo_export.commands import report
from talo_export.errors import ProofError
from talo_export.evidence.layer_plot import draw_layers
from talo_export.evidence.power import power_of
from talo_export.models.devices import pick_device
from talo_export.models.identity import model_fingerprint
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import parse_reference, resolve
from talo_export.models.threads import threads_for
from talo_export.probing.distributed import ALONE, World
from talo_export.probing.journal import Journal
from talo_export.publish.patched import plan_on, write_patched
from talo_export.reporting import Reporter
from talo_export.requests.measurements import ProbeRequest
from talo_export.requests.readings import ReportRequest
from talo_export.runs.chosen_task import load_chosen, meaning
from talo_export.runs.comparison import comparison_of
from talo_export.runs.directory import RunDirectory, default_directory
from talo_export.runs.example import example_of
from talo_export.runs.loading import load_for_inference, settle_dtype
from talo_export.runs.meaning import evidence_of, letters_scored_throughout
from talo_export.runs.measuring import Findings, measure
from talo_export.runs.record import record_of_run
from talo_export.runs.replay import replay
from talo_export.runs.request import command_line_of, command_worth_trying, recorded, score_identity
from talo_export.runs.result import ProbeResult, Proof, RunCost
from talo_export.tasks.item import Task
from talo_export.tasks.splits import Split, split_task
from talo_export.wording import first_of, percent


def run_probe(
    request: ProbeRequest,
    reporter: Reporter,
    world: World = ALONE,
    load: Callable[[], LoadedModel] | None = None,
) -> ProbeResult:
    """Do the job, go on with it, or show it if it is done.

    `load` gives the model where several probes share it. In a `world` every process calls this;
    all return a result, and only the first writes anything but scores.

    Raises `TaloError` and its kinds, each a sentence for the user; what was scored until then
    stays in the run's journal, and the same request goes on from there.
    """
    task, split, fingerprint = world.on_all_ranks(lambda: _prepared(request, reporter))
    run = RunDirectory(request.out or default_directory(request.model_name, task.name))

    def settled() -> ProbeRequest:
        # A run of an earlier version goes on in the format it was begun in, which is as stored.
        as_stored = not request.fresh and run.manifest.exists() and run.request().dtype == "auto"
        return request if as_stored else settle_dtype(request, reporter)

    request = world.on_rank_zero(settled)

    def opened() -> ProbeResult | None:
        run.open(recorded(request, task, fingerprint), fresh=request.fresh)
        return run.result()

    finished = world.on_rank_zero(opened)
    if finished is not None:
        reporter.note(f"{run.path} holds the finished run; --fresh starts over")
        return finished

    power = power_of(len(split.confirm))
    reporter.note(power.sentence)

    def made_ready() -> LoadedModel:
        run.path.mkdir(parents=True, exist_ok=True)  # Of another host's process, its own.
        return load_for_inference(request) if load is None else load()

    loaded = world.on_all_ranks(made_ready)
    with Journal.open_own(
        run.journal, score_identity(request, task, fingerprint), world
    ) as journal:
        if journal.asks_again:
            reporter.note("another version read this run's answers by its own rules: asked again")
        findings = measure(request, loaded, split, journal, reporter, world)
    result = _result(request, task, loaded, findings, run)
    if not world.is_rank_zero:
        return result
    draw_gains(request, task, findings, run)
    evidence = evidence_of(
        findings.probed.table,
        findings.selection,
        None if findings.confirmed is None else findings.confirmed.table,
        findings.confirmation,
        power,
        scope=request.scope,
        fill=request.fill,
        seed=request.seed,
        by_letter=letters_scored_throughout(task.items, request.to_scoring()),
    )
    result = replace(result, evidence=evidence)
    if request.checkpoint:
        result = write_and_prove(request, loaded, findings, result, run, split, reporter)
    write_atomically(run.vector, json.dumps(result.vector(), indent=1) + "\n")
    run.finish(result)
    trusted = request.trust_remote_code
    report.run(ReportRequest([run.path], data=request.data, trust_remote_code=trusted))
    return result


def _prepared(request: ProbeRequest, reporter: Reporter) -> tuple[Task, Split, str]:
    """The task, how it is split, and the base's fingerprint."""
    # A mistyped model or device is told before a task is fetched and a run begun.
    parse_reference(request.model_reference)
    if request.device_map is None:
        pick_device(request.device)
    reporter.note(meaning(request.task, model_is_demo=request.is_demo))
    task = load_chosen(request, model_is_demo=request.is_demo)
    reporter.note(
        f"{task.name}: {len(task)} items from {task.source}, chance {percent(task.chance, 0)}"
    )
    split = split_task(task, request.shots, request.seed)
    base = resolve(request.model_reference)
    read_layout(base.place)  # What could not be cut is not probed for hours first.
    return task, split, model_fingerprint(base.directory, base.revision)


def _result(
    request: ProbeRequest, task: Task, loaded: LoadedModel, findings: Findings, run: RunDirectory
) -> ProbeResult:
    """The result, before anything was written."""
    confirmation, example = findings.confirmation, None
    if findings.knockout and findings.confirmed and confirmation:
        unseen, verdict = findings.confirmed.table, confirmation.verdict
        example = example_of(unseen, findings.knockout, verdict, task.items)
    return ProbeResult(
        model=request.model_name,
        revision=loaded.revision,
        task=task.name,
        task_source=task.source,
        task_items=len(task),
        data=None if request.data is None else request.data.resolve(),
        chance=task.chance,
        scoring=request.scoring,
        seed=request.seed,
        shots=request.shots,
        layers=len(loaded.decoder),
        fill=request.fill,
        scope=request.scope,
        probe=findings.selection,
        too_long=findings.too_long,
        selected_layer=None if findings.knockout is None else findings.knockout.layer,
        confirm=confirmation,
        checkpoint=None,
        proof=None,
        run=run.path,
        command=command_line_of(request),
        dtype=loaded.dtype,
        example=example,
        auto_class=loaded.auto_class,
        next_command=None
        if confirmation is not None and confirmation.verdict == "confirmed"
        else command_worth_trying(request, len(task), run.path),
        cost=RunCost.of(findings.cost, threads_for(loaded.model)),
    )


def draw_gains(request: ProbeRequest, task: Task, findings: Findings, run: RunDirectory) -> None:
    """The picture of the run. The card shows it: it names no folder of this machine."""
    draw_layers(
        findings.probed.table,
        findings.selection,
        findings.confirmation if findings.knockout else None,
        run.plot,
        title=f"{Path(request.model_name).name}, {task.name}",
        scope=request.scope,
        fill=request.fill,
        seed=request.seed,
    )


def write_and_prove(
    request: ProbeRequest,
    loaded: LoadedModel,
    findings: Findings,
    result: ProbeResult,
    run: RunDirectory,
    split: Split,
    reporter: Reporter,
) -> ProbeResult:
    """Export the chosen knockout and prove it; nothing for a knockout that harms or is none."""
    knockout = result.knockout
    if knockout is None or result.verdict == "harmful":
        return result
    assert findings.confirmed is not None
    base = resolve(request.model_reference)
    plan, n_layers = plan_on(base, knockout, trust_remote_code=request.trust_remote_code)
    # What a killed run left is ours and unfinished: the run has no result yet.
    shutil.rmtree(run.checkpoint, ignore_errors=True)
    write_patched(
        base,
        plan,
        run.checkpoint,
        name=request.model_name,
        n_layers=n_layers,
        record=record_of_run(result, comparison=comparison_of(run.path, result)),
        plot=run.plot.read_bytes(),
    )
    reporter.note(f"wrote {run.checkpoint}; proving it in a fresh process")
    files = verify_files(run.checkpoint, base.place)
    if not files.ok:
        raise ProofError(
            f"{run.checkpoint} is not what was planned ({first_of(files.problems, 5)}). "
            "Check the disk, then run the same line again."
        )
    known = set(findings.confirmed.table.item_ids)
    answered = [item for item in split.confirm if item.id in known]
    answers = replay(
        loaded,
        place_of(run.checkpoint, base.place),
        answered,
        findings.confirmed.table,
        knockout,
        request.to_scoring(),
    )
    if not answers.ok:
        raise ProofError(
            f"{run.checkpoint}, loaded by stock transformers, does not answer as the probe did: "
            f"{answers.sentence}"
        )
    proof = Proof(
        tensors_filled=len(files.tensors.filled),
        tensors_identical=files.tensors.identical,
        answers=answers.n,
        answers_equal=answers.equal,
        answers_within_rounding=len(answers.rounding),
    )
    return replace(result, checkpoint=run.checkpoint, proof=proof)
