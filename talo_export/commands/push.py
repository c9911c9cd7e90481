"""What `talo-export push` is given, made ready: a run, an export, or a folder of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from talo_export.checkpoint.adapter import plan_adapter, write_adapter
from talo_export.checkpoint.manifest import MANIFEST, Manifest, read_manifest
from talo_export.checkpoint.placing import BASE_CARD
from talo_export.commands import export
from talo_export.errors import TaloError, UsageError
from talo_export.publish.card import render_card
from talo_export.publish.collection import Member, stage_collection
from talo_export.publish.patched import added_files
from talo_export.publish.publication import open_publication
from talo_export.publish.push import PushResult, check_request, deliver, push
from talo_export.publish.subject import PLOT, read_subject
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import ExportRequest, Form, PushRequest
from talo_export.requests.fields import command_line
from talo_export.runs.directory import RunDirectory
from talo_export.runs.record import record_of_manifest

if TYPE_CHECKING:
    from rich.console import Console


def run(request: PushRequest, reporter: Reporter = SILENT) -> PushResult:
    """Send it. Raises as `publish.push.push`, and `UsageError` for what cannot be sent so."""
    check_request(request.repo_id, request)
    if not request.directory.is_dir():
        raise UsageError(f"{request.directory} is no directory: give a run or an export.")
    with tempfile.TemporaryDirectory(prefix="talo-export-adapters-") as temporary:
        made = Path(temporary)
        if request.collection:
            return _push_collection(request, made, reporter)
        directory = _directory(request, request.directory, request.form, made / "adapter")
        return push(
            directory,
            request.repo_id,
            request,
            shown=request.directory,
            progress=reporter is not SILENT,
        )


def _push_collection(request: PushRequest, made: Path, reporter: Reporter) -> PushResult:
    """An adapter for every run or export below the directory; those that may not go are named."""
    found = sorted(path for path in request.directory.iterdir() if _is_export(path))
    members: list[Member] = []
    left_out: list[str] = []
    for number, path in enumerate(found):
        try:
            adapter = _directory(request, path, "adapter", made / str(number))
            publication = open_publication(
                adapter, allow_unconfirmed=request.allow_unconfirmed, shown=path
            )
        except TaloError as error:
            left_out.append(f"{path.name} is left out: {error}")
            continue
        members.append(Member(publication, read_subject(adapter, publication.manifest)))
    if not members:
        why = f" ({left_out[0]})" if left_out else ": give the folder that holds runs or exports"
        raise TaloError(f"{request.directory} has nothing to push as a collection{why}")
    with tempfile.TemporaryDirectory(prefix="talo-export-push-") as temporary:
        parcel = stage_collection(
            members, request.repo_id, Path(temporary), warnings=tuple(left_out)
        )
        return deliver(parcel, request.repo_id, request, reporter is not SILENT)


def _is_export(path: Path) -> bool:
    return (path / MANIFEST).is_file() or RunDirectory(path).manifest.is_file()


def _directory(request: PushRequest, given: Path, form: Form | None, adapter: Path) -> Path:
    """The export to send for a run or an export; an adapter that is not there is made."""
    run = RunDirectory(given)
    if run.manifest.is_file() and not (given / MANIFEST).is_file():
        return _of_run(request, run, form, adapter)
    stored = read_manifest(given)
    if stored.storage == "adapter":
        if form == "checkpoint":
            raise UsageError(f"{given} is an adapter: export it again with --as checkpoint.")
        return given
    if form == "adapter":
        adapter_of_checkpoint(given, stored, adapter, trust_remote_code=request.trust_remote_code)
        return adapter
    return given


def _of_run(request: PushRequest, run: RunDirectory, form: Form | None, adapter: Path) -> Path:
    if run.finished().selected_layer is None:
        raise TaloError(f"{run.path} keeps the base: no layer was selected, nothing to push.")
    if form == "adapter":
        trusted = request.trust_remote_code
        export.run(
            ExportRequest(run=run.path, out=adapter, form="adapter", trust_remote_code=trusted)
        )
        return adapter
    if not (run.checkpoint / MANIFEST).is_file():
        line = command_line(ExportRequest(run=run.path, out="DIR"))
        raise TaloError(
            f"{run.path} wrote no checkpoint: `{line}`, then push DIR; or push with --as adapter."
        )
    return run.checkpoint


def adapter_of_checkpoint(
    directory: Path, manifest: Manifest, out: Path, *, trust_remote_code: bool = False
) -> None:
    """Write the adapter that does on the base what the exported checkpoint is."""
    plan = plan_adapter(directory, manifest.knockout, trust_remote_code=trust_remote_code)
    record, plot = record_of_manifest(manifest), directory / PLOT
    write_adapter(
        plan,
        out,
        base=manifest.base,
        revision=manifest.revision,
        extra=added_files(record, plot.read_bytes() if plot.is_file() else None),
        describe=lambda made: render_card(read_subject(directory, made, card=BASE_CARD)).encode(),
        about=record.to_json(),
    )


def summary(result: PushResult) -> str:
    """The one sentence that `--quiet` prints."""
    return result.url


def warnings(result: PushResult) -> tuple[str, ...]:
    """What the user should know although it was done."""
    return tuple(result.warnings)


def show(result: PushResult, to: Console) -> None:
    from rich.text import Text

    size = sum(result.files.values())
    what = f"{len(result.files)} files, {size:,} bytes"
    if result.dry_run:
        to.print(f"would send {what} to {result.url} ({result.revision}); nothing was sent")
    else:
        to.print(f"sent {what}; {result.verified} checksums on the Hub equal the files here")
        to.print(result.pull_request or result.url)
    to.print()
    to.print(Text(result.snippet))
