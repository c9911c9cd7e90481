"""Write a patched checkpoint or adapter, with its card, for a layer named by hand or by a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from talo_export.checkpoint.adapter import plan_adapter, write_adapter
from talo_export.checkpoint.naming import checkpoint_anatomy
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.writer import CARD, WriteReport, linked_files, write_export
from talo_export.errors import TaloError, UsageError
from talo_export.jobs.asking import model_reference
from talo_export.jobs.card import PLOT, card_facts
from talo_export.jobs.comparison import read_comparison
from talo_export.jobs.inspect import decoder_on_disk
from talo_export.jobs.run import RunDirectory
from talo_export.jobs.task_words import DEMO
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.reference import ResolvedModel, resolve
from talo_export.publish.card import render_card
from talo_export.publish.facts import CardFacts
from talo_export.publish.metadata import eval_result_files


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What `talo-export export` was asked for: a layer, or a run that chose one."""

    model: str | None = None
    layer: int | None = None
    run: Path | None = None
    out: Path | None = None
    scope: Scope = "attention"
    fill: Fill = "zero"
    form: Literal["checkpoint", "adapter"] = "checkpoint"
    link: bool = False
    link_cache: bool = False
    keep_undo: bool = False
    comparison: Path | None = None
    """A comparison's directory, to be stated in the card of what a run chose."""
    dry_run: bool = False
    trust_remote_code: bool = False


def run_export(request: ExportRequest) -> dict[str, Any]:
    """Plan and, unless it is a dry run, write: the document of `export --json`."""
    if request.run is not None:
        return _export_run(request, RunDirectory(request.run))
    if request.comparison is not None:
        raise UsageError("a comparison stands in the card of a run's layer: give --run as well.")
    if request.layer is None:
        raise UsageError("export needs --layer K, or --run DIR to take the layer from a run.")
    knockout = Knockout(request.layer, request.scope, request.fill)
    return _export(request, request.model, knockout, document=None, plot=None)


def _export_run(request: ExportRequest, run: RunDirectory) -> dict[str, Any]:
    recorded, document = run.request(), run.result()
    if request.layer is not None or request.model is not None:
        raise UsageError("--run names the model and the layer already: leave out the others.")
    if document is None:
        raise TaloError(f"{run.path} is not finished: run its probe line again first.")
    if document["selected_layer"] is None:
        raise TaloError(f"{run.path} selected no layer, so there is nothing to export.")
    knockout = Knockout(document["selected_layer"], recorded["scope"], recorded["fill"])
    if request.comparison is not None:
        document = {**document, "comparison": read_comparison(request.comparison, document)}
    plot = run.plot.read_bytes() if run.plot.exists() else None
    return _export(request, recorded["model"], knockout, document=document, plot=plot)


def _export(
    request: ExportRequest,
    model: str | None,
    knockout: Knockout,
    *,
    document: Mapping[str, Any] | None,
    plot: bytes | None,
) -> dict[str, Any]:
    base = resolve(model_reference(model))
    if request.form == "adapter":
        return _export_adapter(request, base, model or DEMO, knockout, document, plot)
    plan, n_layers = plan_on(base, knockout, trust_remote_code=request.trust_remote_code)
    if request.dry_run:
        linked = linked_files(plan, link=request.link, link_cache=request.link_cache)
        needed = sum(file.nbytes for file in plan.files if file.name not in linked)
        return plan.to_json() | {"disk_needed": needed, "linked": sorted(linked)}
    report = write_patched(
        base,
        plan,
        _out(request),
        name=model or DEMO,
        n_layers=n_layers,
        document=document,
        plot=plot,
        link=request.link,
        link_cache=request.link_cache,
        keep_undo=request.keep_undo,
    )
    return report.to_json()


def _export_adapter(
    request: ExportRequest,
    base: ResolvedModel,
    name: str,
    knockout: Knockout,
    document: Mapping[str, Any] | None,
    plot: bytes | None,
) -> dict[str, Any]:
    plan = plan_adapter(base.directory, knockout, trust_remote_code=request.trust_remote_code)
    if request.dry_run:
        return plan.to_json()
    anatomy = checkpoint_anatomy(base.directory, trust_remote_code=request.trust_remote_code)
    facts = card_facts(
        base,
        knockout,
        kind="adapter",
        name=name,
        n_layers=len(anatomy),
        document=document,
        has_plot=plot is not None,
        reproduce=reproduce_lines(name, knockout, document, form="adapter"),
    )
    report = write_adapter(
        plan,
        _out(request),
        base=base.name if base.revision else str(base.directory.resolve()),
        revision=base.revision,
        extra=_extra(facts, plot),
        **_record(document),
    )
    return report.to_json()


def plan_on(
    base: ResolvedModel, knockout: Knockout, *, trust_remote_code: bool
) -> tuple[EditPlan, int]:
    """The edits on a safetensors directory or one GGUF file, and how many layers there are."""
    anatomy = decoder_on_disk(base, trust_remote_code=trust_remote_code)
    return plan_export(base.place, knockout, anatomy), len(anatomy)


def _out(request: ExportRequest) -> Path:
    if request.out is None:
        raise UsageError("export needs --out DIR, a directory that does not exist yet.")
    return request.out


def _extra(facts: CardFacts, plot: bytes | None) -> dict[str, bytes]:
    """The files an export adds: the card, the evaluation results, the plot."""
    files = {CARD: render_card(facts).encode(), **eval_result_files(facts)}
    return files if plot is None else {**files, PLOT: plot}


def _record(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the manifest keeps of a run."""
    if document is None:
        return {}
    return {
        "task": {key: document[key] for key in ("task", "task_source", "scoring", "seed")},
        "selection": dict(document["probe"]),
        "confirmation": document["confirm"],
    }


def write_patched(
    base: ResolvedModel,
    plan: EditPlan,
    out: Path,
    *,
    name: str,
    n_layers: int,
    document: Mapping[str, Any] | None,
    plot: bytes | None,
    link: bool = False,
    link_cache: bool = False,
    keep_undo: bool = False,
) -> WriteReport:
    """Write the checkpoint with card, plot and evaluation results in one atomic step.

    `document` is the run's result (`probe --json`) or None for a layer named by hand; `name` is
    what the card and the manifest call the base.
    """
    facts = patched_facts(
        base,
        plan,
        name=name,
        n_layers=n_layers,
        document=document,
        has_plot=plot is not None,
        has_undo=keep_undo,
    )
    return write_export(
        plan,
        out,
        base=name if name == DEMO or base.revision else str(plan.directory.resolve()),
        revision=base.revision,
        extra=_extra(facts, plot),
        link=link,
        link_cache=link_cache,
        keep_undo=keep_undo,
        **_record(document),
    )


def patched_facts(
    base: ResolvedModel,
    plan: EditPlan,
    *,
    name: str,
    n_layers: int,
    document: Mapping[str, Any] | None,
    has_plot: bool,
    has_undo: bool,
) -> CardFacts:
    """What the card of a patched checkpoint states."""
    return card_facts(
        base,
        plan.knockout,
        edits=plan.edits,
        files=plan.files,
        name=name,
        n_layers=n_layers,
        document=document,
        has_plot=has_plot,
        has_undo=has_undo,
        reproduce=reproduce_lines(name, plan.knockout, document),
    )


def reproduce_lines(
    name: str,
    knockout: Knockout,
    document: Mapping[str, Any] | None,
    form: str = "checkpoint",
) -> tuple[str, ...]:
    """The commands that give this export again."""
    if document is not None:
        # A card is read elsewhere: folders of this machine say nothing there.
        words = shlex.split(str(document["command"]))
        return (shlex.join(Path(word).name if "/" in word[:1] else word for word in words),)
    words = ["talo-export", "export", "--layer", str(knockout.layer), "--out", "OUT"]
    if name != DEMO:
        words[2:2] = ["--model", Path(name).name if name.startswith("/") else name]
    words += ["--scope", knockout.scope] if knockout.scope != "attention" else []
    words += ["--fill", knockout.fill] if knockout.fill != "zero" else []
    words += ["--as", form] if form != "checkpoint" else []
    return (shlex.join(words),)
