"""Write a patched checkpoint or adapter, with its card, for a layer named by hand or by a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import WrapSerializer

from talo_export.checkpoint.adapter import adapter_weights, plan_adapter, write_adapter
from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.manifest import MANIFEST, Manifest
from talo_export.checkpoint.placing import CARD, linked_files, stored_names
from talo_export.checkpoint.plan import Edit, EditPlan, plan_export
from talo_export.checkpoint.staging import check_output
from talo_export.checkpoint.writer import Progress, WriteReport, write_export
from talo_export.codec import Field, Recorded, maybe
from talo_export.errors import TaloError
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.reference import ResolvedModel, resolve
from talo_export.publish.base_card import read_base_card
from talo_export.publish.card import render_card
from talo_export.publish.metadata import eval_result_files
from talo_export.publish.subject import PLOT, Subject
from talo_export.requests.checkpoints import ExportRequest
from talo_export.requests.settings import DEMO, ModelChoice
from talo_export.runs.comparison import comparison_of, read_comparison
from talo_export.runs.directory import RunDirectory
from talo_export.runs.record import Record, about_model, record_of_run


def _without_fill(edit: Edit, handler: Callable[[Edit], dict[str, object]]) -> dict[str, object]:
    """Where an edit is, without the bytes that are put there."""
    return {key: value for key, value in handler(edit).items() if key not in ("pattern", "runs")}


EditedTensor = Annotated[Edit, WrapSerializer(_without_fill)]


@dataclass(frozen=True, kw_only=True)
class ExportResult(Recorded):
    """What was written, or of a dry run what would be: the document of `export --json`."""

    out: Path | None
    """None: nothing was written."""
    layer: int
    scope: Scope
    fill: Fill


@dataclass(frozen=True, kw_only=True)
class AdapterExport(ExportResult):
    """A PEFT adapter: no tensor of the base is edited."""

    modules: Mapping[str, int]
    """The modules whose output is scaled to zero, and its size."""
    edits: tuple[EditedTensor, ...] = ()
    bytes_total: int
    seconds: float = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class ExportedFile:
    """One file of the base."""

    file: str
    nbytes: Annotated[int, Field(alias="bytes")]
    edits: int
    stored_as: Annotated[str | None, maybe] = None
    """Its name in the export, as planned."""


@dataclass(frozen=True, kw_only=True)
class CheckpointExport(ExportResult):
    """A patched checkpoint."""

    edits: tuple[EditedTensor, ...]
    bytes_total: int
    seconds: float = 0.0
    files: tuple[ExportedFile, ...]
    storage: str
    disk_needed: int
    warnings: tuple[str, ...]
    method: Annotated[str | None, maybe] = None
    """How most bytes were copied."""


@dataclass(frozen=True, kw_only=True)
class PlannedExport(CheckpointExport):
    """A dry run: what becomes of every file, and the disk it takes."""

    linked: tuple[str, ...]
    added: tuple[str, ...]
    disk_free: int | None
    """None where no output was named."""


def run_export(
    request: ExportRequest, progress: Progress | None = None
) -> AdapterExport | CheckpointExport:
    """Plan and, unless it is a dry run, write.

    `progress` is called with the bytes copied so far and the bytes to copy.
    """
    if request.run is not None:
        return _export_run(request, RunDirectory(request.run), progress)
    assert request.layer is not None
    knockout = Knockout(request.layer, request.scope, request.fill)
    return _export(request, request, knockout, Record(), plot=None, progress=progress)


def _export_run(
    request: ExportRequest, run: RunDirectory, progress: Progress | None
) -> AdapterExport | CheckpointExport:
    run.request()
    result = run.finished()
    if result.knockout is None:
        raise TaloError(f"{run.path} selected no layer, so there is nothing to export.")
    comparison = comparison_of(run.path, result)
    if request.comparison is not None:
        comparison = read_comparison(request.comparison, result)
    plot = run.plot.read_bytes() if run.plot.exists() else None
    record = record_of_run(result, comparison=comparison)
    model = ModelChoice(result.model)
    return _export(request, model, result.knockout, record, plot=plot, progress=progress)


def _export(
    request: ExportRequest,
    model: ModelChoice,
    knockout: Knockout,
    record: Record,
    *,
    plot: bytes | None,
    progress: Progress | None,
) -> AdapterExport | CheckpointExport:
    base = resolve(model.model_reference)
    if request.form == "adapter":
        return _export_adapter(request, base, model.model_name, knockout, record, plot)
    plan, n_layers = plan_on(base, knockout, trust_remote_code=request.trust_remote_code)
    if request.dry_run:
        return planned(plan, request, added_files(record, plot))
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
    return CheckpointExport(
        out=report.out,
        layer=knockout.layer,
        scope=knockout.scope,
        fill=knockout.fill,
        edits=plan.edits,
        bytes_total=plan.bytes_total,
        seconds=report.seconds,
        files=_files(plan),
        storage=plan.storage,
        disk_needed=plan.disk_needed,
        warnings=report.warnings,
        method=report.method,
    )


def planned(plan: EditPlan, request: ExportRequest, added: Iterable[str]) -> PlannedExport:
    """What an export would do, to the file and the byte.

    `added` are the names of the files to add besides card, manifest and undo file. All is refused
    here that writing would refuse before it begins: an output that cannot be, a link into the Hub
    cache.
    """
    target = None if request.out is None else check_output(request.out, plan.directory)
    linked = linked_files(plan, link=request.link, link_cache=request.link_cache)
    extra = dict.fromkeys((CARD, *added), b"")
    stored = stored_names(plan.files, extra)
    written = [*extra, MANIFEST, *([UNDO_FILE] if request.keep_undo else [])]
    return PlannedExport(
        out=None,
        layer=plan.knockout.layer,
        scope=plan.knockout.scope,
        fill=plan.knockout.fill,
        edits=plan.edits,
        bytes_total=plan.bytes_total,
        files=_files(plan, stored),
        storage=plan.storage,
        disk_needed=plan.disk_needed_with(linked, keep_undo=request.keep_undo),
        warnings=plan.warnings,
        linked=tuple(sorted(linked)),
        added=tuple(sorted(written)),
        disk_free=None if target is None else shutil.disk_usage(_existing(target)).free,
    )


def _files(plan: EditPlan, stored: Mapping[str, str] | None = None) -> tuple[ExportedFile, ...]:
    return tuple(
        ExportedFile(
            file.name, file.nbytes, len(plan.edits_of(file.name)), (stored or {}).get(file.name)
        )
        for file in plan.files
    )


def _existing(path: Path) -> Path:
    """The innermost directory above `path` that is there."""
    return next(folder for folder in path.parents if folder.is_dir())


def _export_adapter(
    request: ExportRequest,
    base: ResolvedModel,
    name: str,
    knockout: Knockout,
    record: Record,
    plot: bytes | None,
) -> AdapterExport:
    plan = plan_adapter(base.directory, knockout, trust_remote_code=request.trust_remote_code)
    result = AdapterExport(
        out=None,
        layer=knockout.layer,
        scope=knockout.scope,
        fill=knockout.fill,
        modules=plan.modules,
        bytes_total=len(adapter_weights(plan)),
    )
    if request.dry_run:
        return result
    anatomy = checkpoint_anatomy(base.directory, trust_remote_code=request.trust_remote_code)
    record = replace(record, model=about_model(base, len(anatomy)))
    assert request.out is not None
    report = write_adapter(
        plan,
        request.out,
        base=base.name if base.revision else str(base.directory.resolve()),
        revision=base.revision,
        extra=added_files(record, plot),
        describe=describing(base, name),
        **record.fields(),
    )
    return replace(result, out=report.out, seconds=report.seconds)


def describing(base: ResolvedModel, name: str) -> Callable[[Manifest], bytes]:
    """From the manifest of an export that is being written to its card.

    `name` is what the user called the base.
    """
    hub_id = base.name if base.revision else None
    card = read_base_card(
        base.directory, name=hub_id or name, hub_id=hub_id, revision=base.revision
    )
    return lambda manifest: render_card(Subject(manifest, card)).encode()


def plan_on(
    base: ResolvedModel, knockout: Knockout, *, trust_remote_code: bool
) -> tuple[EditPlan, int]:
    """The edits on a safetensors directory or one GGUF file, and how many layers there are."""
    anatomy = checkpoint_anatomy(base.place, trust_remote_code=trust_remote_code)
    return plan_export(base.place, knockout, anatomy), len(anatomy)


def added_files(record: Record, plot: bytes | None) -> dict[str, bytes]:
    """What an export adds beside the card and the manifest: evaluation results, the plot."""
    files = eval_result_files(record)
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
    return write_export(
        plan,
        out,
        base=_manifest_base(base, plan, name),
        revision=base.revision,
        extra=added_files(record, plot),
        describe=describing(base, name),
        link=link,
        link_cache=link_cache,
        keep_undo=keep_undo,
        progress=progress,
        **record.fields(),
    )


def _manifest_base(base: ResolvedModel, plan: EditPlan, name: str) -> str:
    """What leads to the base again: a Hub id (its commit is kept apart), the demo, or a path."""
    if base.revision:
        return base.name
    return DEMO if name == DEMO else str(plan.directory.resolve())
