"""Write a patched checkpoint or adapter, with its card, for a layer named by hand or by a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from talo_export.checkpoint.adapter import plan_adapter, write_adapter
from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.placing import CARD
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.writer import Progress, WriteReport, write_export
from talo_export.errors import TaloError
from talo_export.jobs.card import PLOT, card_facts, with_hashes
from talo_export.jobs.comparison import comparison_of, read_comparison
from talo_export.jobs.export_plan import planned_export
from talo_export.jobs.record import Record, about_model, record_of_run
from talo_export.jobs.run import RunDirectory
from talo_export.knockout import Knockout
from talo_export.models.reference import ResolvedModel, resolve
from talo_export.publish.card import render_card
from talo_export.publish.facts import CardFacts
from talo_export.publish.metadata import eval_result_files
from talo_export.requests.checkpoints import ExportRequest
from talo_export.requests.settings import DEMO, ModelChoice


def run_export(request: ExportRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Plan and, unless it is a dry run, write: the document of `export --json`.

    `progress` is called with the bytes copied so far and the bytes to copy.
    """
    if request.run is not None:
        return _export_run(request, RunDirectory(request.run), progress)
    assert request.layer is not None
    knockout = Knockout(request.layer, request.scope, request.fill)
    return _export(request, request, knockout, Record(), plot=None, progress=progress)


def _export_run(
    request: ExportRequest, run: RunDirectory, progress: Progress | None
) -> dict[str, Any]:
    recorded, document = run.request(), run.result()
    if document is None:
        raise TaloError(f"{run.path} is not finished: run its probe line again first.")
    if document["selected_layer"] is None:
        raise TaloError(f"{run.path} selected no layer, so there is nothing to export.")
    knockout = Knockout(document["selected_layer"], recorded["scope"], recorded["fill"])
    comparison = comparison_of(run.path, document)
    if request.comparison is not None:
        comparison = read_comparison(request.comparison, document)
    plot = run.plot.read_bytes() if run.plot.exists() else None
    record = record_of_run(document, comparison=comparison)
    model = ModelChoice(recorded["model"])
    return _export(request, model, knockout, record, plot=plot, progress=progress)


def _export(
    request: ExportRequest,
    model: ModelChoice,
    knockout: Knockout,
    record: Record,
    *,
    plot: bytes | None,
    progress: Progress | None,
) -> dict[str, Any]:
    base = resolve(model.model_reference)
    if request.form == "adapter":
        return _export_adapter(request, base, model.model_name, knockout, record, plot)
    plan, n_layers = plan_on(base, knockout, trust_remote_code=request.trust_remote_code)
    if request.dry_run:
        record = replace(record, model=about_model(base, n_layers))
        facts = _facts(base, plan, model.model_name, record, plot, request.keep_undo)
        return planned_export(
            plan,
            request.out,
            added_files(facts, plot),
            link=request.link,
            link_cache=request.link_cache,
            keep_undo=request.keep_undo,
        )
    assert request.out is not None
    report = write_patched(
        base,
        plan,
        request.out,
        name=model.model_name,
        n_layers=n_layers,
        record=record,
        plot=plot,
        link=request.link,
        link_cache=request.link_cache,
        keep_undo=request.keep_undo,
        progress=progress,
    )
    return report.to_json()


def _export_adapter(
    request: ExportRequest,
    base: ResolvedModel,
    name: str,
    knockout: Knockout,
    record: Record,
    plot: bytes | None,
) -> dict[str, Any]:
    plan = plan_adapter(base.directory, knockout, trust_remote_code=request.trust_remote_code)
    if request.dry_run:
        return plan.to_json()
    anatomy = checkpoint_anatomy(base.directory, trust_remote_code=request.trust_remote_code)
    record = replace(record, model=about_model(base, len(anatomy)))
    facts = card_facts(base, knockout, record, kind="adapter", name=name, has_plot=plot is not None)
    assert request.out is not None
    report = write_adapter(
        plan,
        request.out,
        base=base.name if base.revision else str(base.directory.resolve()),
        revision=base.revision,
        extra={CARD: render_card(facts).encode(), **added_files(facts, plot)},
        **record.fields(),
    )
    return report.to_json()


def plan_on(
    base: ResolvedModel, knockout: Knockout, *, trust_remote_code: bool
) -> tuple[EditPlan, int]:
    """The edits on a safetensors directory or one GGUF file, and how many layers there are."""
    anatomy = checkpoint_anatomy(base.place, trust_remote_code=trust_remote_code)
    return plan_export(base.place, knockout, anatomy), len(anatomy)


def added_files(facts: CardFacts, plot: bytes | None) -> dict[str, bytes]:
    """What an export adds beside the card and the manifest: evaluation results, the plot."""
    files = eval_result_files(facts)
    return files if plot is None else {**files, PLOT: plot}


def write_patched(
    base: ResolvedModel,
    plan: EditPlan,
    out: Path,
    *,
    name: str,
    n_layers: int,
    record: Record,
    plot: bytes | None,
    link: bool = False,
    link_cache: bool = False,
    keep_undo: bool = False,
    progress: Progress | None = None,
) -> WriteReport:
    """Write the checkpoint with card, plot and evaluation results in one atomic step.

    `record` is what is kept of the run, empty for a layer named by hand; `name` is what the user
    called the base.
    """
    record = replace(record, model=about_model(base, n_layers))
    facts = _facts(base, plan, name, record, plot, keep_undo)
    return write_export(
        plan,
        out,
        base=_manifest_base(base, plan, name),
        revision=base.revision,
        extra=added_files(facts, plot),
        describe=lambda files: render_card(with_hashes(facts, files)).encode(),
        link=link,
        link_cache=link_cache,
        keep_undo=keep_undo,
        progress=progress,
        **record.fields(),
    )


def _facts(
    base: ResolvedModel,
    plan: EditPlan,
    name: str,
    record: Record,
    plot: bytes | None,
    keep_undo: bool,
) -> CardFacts:
    return card_facts(
        base,
        plan.knockout,
        record,
        edits=plan.edits,
        files=plan.files,
        storage=plan.storage,
        name=name,
        has_plot=plot is not None,
        has_undo=keep_undo,
    )


def _manifest_base(base: ResolvedModel, plan: EditPlan, name: str) -> str:
    """What leads to the base again: a Hub id (its commit is kept apart), the demo, or a path."""
    if base.revision:
        return base.name
    return DEMO if name == DEMO else str(plan.directory.resolve())
