"""Carrying a plan out: a byte-for-byte copy of the base with the planned ranges overwritten.

Validate everything, write beside the target, rename last. The base is never opened for writing,
no weights pass through memory but the buffer of a copy, and a failure leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talo_export.checkpoint.copying import Copied, Syncing, can_reflink, copy_edited
from talo_export.checkpoint.files import BaseFile, list_files
from talo_export.checkpoint.layout import UNDO_FILE, read_tensors
from talo_export.checkpoint.manifest import MANIFEST, FileRecord, Manifest, current_versions, sealed
from talo_export.checkpoint.placing import CARD, linked_files, stored_names
from talo_export.checkpoint.plan import EditPlan
from talo_export.checkpoint.staging import check_output, staged
from talo_export.checkpoint.undo_file import write_undo_file
from talo_export.errors import TaloError
from talo_export.reporting import SILENT, Reporter, steps
from talo_export.wording import size

Describe = Callable[[Manifest], bytes]
"""From the manifest, with the hashes of the files that were copied, to the text of the card."""


@dataclass(frozen=True)
class WriteReport:
    """A finished export."""

    out: Path
    manifest: Manifest
    method: str
    """How most bytes were copied: `link`, `reflink`, `copy_file_range` or `copy`."""
    seconds: float
    warnings: tuple[str, ...]


def write_export(
    plan: EditPlan,
    out: Path,
    *,
    base: str,
    revision: str | None = None,
    extra: Mapping[str, bytes] | None = None,
    describe: Describe | None = None,
    about: Mapping[str, Any] | None = None,
    link: bool = False,
    link_cache: bool = False,
    keep_undo: bool = False,
    reporter: Reporter = SILENT,
) -> WriteReport:
    """Write the patched checkpoint to the new directory `out`.

    `extra` are the files to add (`README.md`, `layers.png`, `.eval_results/*.yaml`); the manifest
    is written here, and so is the card where `describe` makes it. `about` is what it keeps of base
    and run, JSON values by the names of its fields.
    `link` makes hard links of untouched weight files, `link_cache` also where they lie in the Hub
    cache.
    Raises `UsageError` for an output that cannot be, `TaloError` where the base changed since the
    plan, the disk is full or a file cannot be read or written; then nothing is left.
    """
    started = time.perf_counter()
    target = check_output(out, plan.directory)
    extra = dict(extra or {}) | ({CARD: b""} if describe else {})
    stored = stored_names(plan.files, extra)
    linked = linked_files(plan, link=link, link_cache=link_cache)
    _check_base(plan)
    with staged(target) as stage:
        _check_disk(plan, stage, linked, extra, keep_undo)
        copied = _copy_all(plan, stage, stored, linked, reporter)
        added = [MANIFEST, *extra]
        if keep_undo:
            write_undo_file(plan, stage / UNDO_FILE)
            added.append(UNDO_FILE)
        _check_base(plan)
        _check_copy(plan, stage, stored)
        files = {
            file.name: FileRecord(
                file.nbytes,
                copied[file.name].sha256,
                stored[file.name],
                copied[file.name].sha256_edited,
            )
            for file in plan.files
        }
        manifest = Manifest(
            base=base,
            revision=revision,
            knockout=plan.knockout,
            storage=plan.storage,
            edits=plan.edits,
            files=files,
            added=tuple(sorted(added)),
            **(about or {}),
            versions=current_versions(),
        )
        manifest = write_added(stage, manifest, extra, describe)
    return WriteReport(
        out=out,
        manifest=manifest,
        method=_main_method(plan.files, copied),
        seconds=time.perf_counter() - started,
        warnings=plan.warnings + _link_warnings(plan.files, copied),
    )


def _check_base(plan: EditPlan) -> None:
    """The base is still what was planned on: the same files, the same tensors in their places."""
    sources = {file.name: file.source for file in plan.files}
    if list_files(plan.directory) != plan.files or any(
        read_tensors(sources[name]) != header for name, header in plan.shards.items()
    ):
        raise TaloError(f"the files of {plan.directory} changed since the plan: run it again.")


def _check_copy(plan: EditPlan, stage: Path, stored: Mapping[str, str]) -> None:
    """What was copied has the headers that were planned on, so the edits are where they belong."""
    for name, header in plan.shards.items():
        if read_tensors(stage / stored[name]) != header:
            raise TaloError(
                f"{name} of {plan.directory} changed while it was copied: run it again."
            )


def _check_disk(
    plan: EditPlan,
    stage: Path,
    linked: frozenset[str],
    extra: Mapping[str, bytes],
    keep_undo: bool,
) -> None:
    largest = max(plan.files, key=lambda file: file.nbytes)
    needed = plan.disk_needed_with(linked, keep_undo=keep_undo)
    if can_reflink(largest.source, stage):
        needed = plan.originals_total * (2 if keep_undo else 1)
    needed += sum(map(len, extra.values()))
    free = shutil.disk_usage(stage).free
    if free < needed:
        raise TaloError(
            f"{stage.parent} has {size(free)} free and the export needs {size(needed)}: "
            "free some space or choose another output."
        )


def _copy_all(
    plan: EditPlan,
    stage: Path,
    stored: Mapping[str, str],
    linked: frozenset[str],
    reporter: Reporter,
) -> dict[str, Copied]:
    advance = steps(reporter.phase("copying", plan.disk_needed, "bytes"))
    copied: dict[str, Copied] = {}
    with Syncing() as syncing:
        for file in plan.files:
            target = stage / stored[file.name]
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.name in linked and _hard_link(file.source, target):
                file.check(target.stat())
                copied[file.name] = Copied("link", None, None)
                advance(file.nbytes)
            else:
                edits = plan.edits_of(file.name)
                copied[file.name] = copy_edited(
                    file, target, edits, sync=syncing.sync, progress=advance
                )
    return copied


def _hard_link(source: Path, target: Path) -> bool:
    """False where the file system does not link these two (another device, no such feature)."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def write_added(
    stage: Path, manifest: Manifest, extra: Mapping[str, bytes], describe: Describe | None
) -> Manifest:
    """Write `extra` and the card that `describe` makes, then the manifest, which has their hashes;
    returns it."""
    card = {CARD: describe(manifest)} if describe else {}
    write_files(stage, {**extra, **card})
    manifest = sealed(manifest, stage)
    write_files(stage, {MANIFEST: manifest.to_bytes()})
    return manifest


def write_files(stage: Path, files: Mapping[str, bytes]) -> None:
    """Write new files below `stage`, each of them synced to disk."""
    for name, content in files.items():
        path = stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _main_method(files: Iterable[BaseFile], copied: Mapping[str, Copied]) -> str:
    bytes_by_method = Counter[str]()
    for file in files:
        bytes_by_method[copied[file.name].method] += file.nbytes
    return bytes_by_method.most_common(1)[0][0]


def _link_warnings(files: Iterable[BaseFile], copied: Mapping[str, Copied]) -> tuple[str, ...]:
    cached = [file for file in files if copied[file.name].method == "link" and file.in_cache]
    if not cached:
        return ()
    return (
        f"{len(cached)} weight files are hard links into the Hub cache: never edit them in place.",
    )
