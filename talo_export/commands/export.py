"""Write a patched checkpoint or adapter, with its card, for what is named by hand or by a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import WrapSerializer

from talo_export.checkpoint.adapter import adapter_weights, plan_adapter, write_adapter
from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.manifest import MANIFEST
from talo_export.checkpoint.placing import CARD, linked_files, stored_names
from talo_export.checkpoint.plan import Edit, EditPlan
from talo_export.checkpoint.staging import check_output
from talo_export.codec import Field, Recorded, maybe
from talo_export.commands.tables import table_of
from talo_export.errors import TaloError
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.reference import ResolvedModel, resolve
from talo_export.publish.patched import added_files, describing, plan_on, write_patched
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import ExportRequest, VerifyRequest
from talo_export.requests.fields import command_line
from talo_export.requests.settings import ModelChoice
from talo_export.runs.comparison import comparison_of, read_comparison
from talo_export.runs.directory import RunDirectory
from talo_export.runs.record import Record, about_model, record_of_run
from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console


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
    """The lowest of several."""
    scope: Scope
    fill: Fill
    also: Annotated[tuple[int, ...], maybe] = ()
    """Further layers."""
    heads: Annotated[tuple[tuple[int, ...], ...], maybe] = ()
    """The heads of each layer, where not all is cut."""

    @property
    def knockout(self) -> Knockout:
        """What is cut."""
        return Knockout(self.layer, self.scope, self.fill, self.also, self.heads)


@dataclass(frozen=True, kw_only=True)
class AdapterExport(ExportResult):
    """A PEFT adapter: no tensor of the base is edited."""

    modules: Mapping[str, int]
    """The modules whose output is scaled to zero, and its size; of heads, whose input is."""
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


def run(request: ExportRequest, reporter: Reporter = SILENT) -> AdapterExport | CheckpointExport:
    """Plan and, unless it is a dry run, write."""
    if request.run is not None:
        return _export_run(request, RunDirectory(request.run), reporter)
    return _export(request, request, request.to_knockout(), Record(), plot=None, reporter=reporter)


def _export_run(
    request: ExportRequest, run: RunDirectory, reporter: Reporter
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
    return _export(request, model, result.knockout, record, plot=plot, reporter=reporter)


def _export(
    request: ExportRequest,
    model: ModelChoice,
    knockout: Knockout,
    record: Record,
    *,
    plot: bytes | None,
    reporter: Reporter,
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
        reporter=reporter,
    )
    return CheckpointExport(
        out=report.out,
        **asdict(knockout),
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
        **asdict(plan.knockout),
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
    size = len(adapter_weights(plan))
    result = AdapterExport(out=None, **asdict(knockout), modules=plan.modules, bytes_total=size)
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
        about=record.to_json(),
    )
    return replace(result, out=report.out, seconds=report.seconds)


def show(result: ExportResult, to: Console) -> None:
    """The edits as a table, and what was written, or what would be."""
    if isinstance(result, AdapterExport):
        _show_adapter(result, to)
    elif isinstance(result, CheckpointExport):
        _show_edits(result, to)
        what = f"{result.knockout.label}, scope {result.scope}, fill {result.fill}"
        size = f"{count(len(result.edits), 'tensor')}, {count(result.bytes_total, 'byte')}"
        if isinstance(result, PlannedExport):
            _show_files(result, to)
            free = "" if result.disk_free is None else f" ({result.disk_free:,} are free)"
            to.print(
                f"would fill {what}: {size}. The {count(len(result.files), 'file')} take at most "
                f"{result.disk_needed:,} bytes of disk{free}. Nothing was written."
            )
        else:
            to.print(f"wrote {result.out}: {what}, {size}, in {result.seconds:.1f} s")
            to.print(f"next: {command_line(VerifyRequest(str(result.out)))}", style="dim")


def _show_edits(result: CheckpointExport, to: Console) -> None:
    for file in dict.fromkeys(edit.file for edit in result.edits):
        # A table a file, because names of shards and of tensors together fill a screen's width.
        table = table_of(f"tensor in {file}", "dtype", "shape", ">offset", ">bytes")
        for edit in result.edits:
            if edit.file == file:
                shape = " x ".join(map(str, edit.shape)) or "scalar"
                bytes_ = f"{edit.overwritten:,}"
                if edit.every:
                    bytes_ += f" ({sum(size for _, size in edit.parts):,} of every {edit.every:,})"
                table.add_row(edit.tensor, edit.dtype, shape, f"{edit.offset:,}", bytes_)
        to.print(table)


def _show_files(result: PlannedExport, to: Console) -> None:
    """What would become of every file of the base, and which files would be added."""
    table = table_of("file", ">bytes", "would be")
    for file in result.files:
        table.add_row(file.file, f"{file.nbytes:,}", _becomes(file, result.linked))
    for name in result.added:
        table.add_row(name, "", "written")
    to.print()
    to.print(table)
    to.print()


def _becomes(file: ExportedFile, linked: Iterable[str]) -> str:
    """What is done with a file, in words."""
    if file.edits:
        return f"copied, {count(file.edits, 'tensor')} filled"
    if file.file in linked:
        return "hard link"
    kept = "" if file.stored_as in (None, file.file) else f", kept as {file.stored_as}"
    return f"copied{kept}"


def _show_adapter(result: AdapterExport, to: Console) -> None:
    """An adapter edits nothing: it names the modules it silences."""
    what = f"{result.knockout.label}: {', '.join(result.modules)} scaled to zero"
    if result.out is None:
        to.print(f"would write a PEFT adapter of {result.bytes_total} bytes, {what}")
    else:
        to.print(f"wrote {result.out}: a PEFT adapter, {what}")
        to.print("load it on its base with peft.PeftModel.from_pretrained", style="dim")


def summary(result: ExportResult) -> str:
    """The one sentence that `--quiet` prints."""
    return str(result.out)


def warnings(result: ExportResult) -> tuple[str, ...]:
    """What the user should know although it was done."""
    return getattr(result, "warnings", ())
