"""The base back, from an export and either its undo file or the base itself, to the same hashes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from talo_export.checkpoint.adapter_files import ADAPTER
from talo_export.checkpoint.copying import copy_edited
from talo_export.checkpoint.files import BaseFile, list_files
from talo_export.checkpoint.hashing import file_sha256
from talo_export.checkpoint.header import TensorEntry
from talo_export.checkpoint.layout import read_tensors
from talo_export.checkpoint.manifest import Manifest, read_manifest
from talo_export.checkpoint.plan import Edit
from talo_export.checkpoint.ranges import chunks
from talo_export.checkpoint.staging import check_output, staged
from talo_export.checkpoint.undo_file import UNDO_FILE, undo_name
from talo_export.checkpoint.verify import is_left_out
from talo_export.codec import Recorded
from talo_export.errors import ProofError, TaloError, UsageError
from talo_export.reporting import SILENT, Reporter, steps


@dataclass(frozen=True)
class UndoReport(Recorded):
    """A rebuilt base: every file has the recorded SHA-256, or the bytes of the base at hand."""

    out: Path
    files: int
    restored: tuple[str, ...]
    """Tensors whose original bytes were put back."""
    checked: int
    """Files whose recorded hash was met, or whose bytes are those of the given base."""
    seconds: float


def undo_export(
    directory: Path,
    out: Path,
    *,
    base: Path | None = None,
    reporter: Reporter = SILENT,
) -> UndoReport:
    """Rebuild the base of the export in `directory` as the new directory `out`.

    The original tensors come from `base` where given, else from the export's own undo file.
    Raises `UsageError` where there is neither, for an adapter, and where a file has neither hash
    nor base to check it by; `ProofError` where a rebuilt file does not have the recorded hash, or
    is not that of `base`; then nothing is left.
    """
    started = time.perf_counter()
    manifest = read_manifest(directory)
    if manifest.storage == ADAPTER:
        raise UsageError(
            f"{directory} is an adapter and changed nothing: load {manifest.base} without it."
        )
    present = {file.name: file for file in list_files(directory)}
    originals = _originals(directory, manifest, present, base)
    target = check_output(out, directory)
    bases = {} if base is None else {file.name: file for file in list_files(base)}
    total = sum(record.nbytes for record in manifest.files.values())
    total += sum(file.nbytes for name, file in bases.items() if name in manifest.files)
    advance = steps(reporter.phase("copying", total, "bytes"))

    with staged(target) as stage:
        for name, record in manifest.files.items():
            source = present.get(record.stored_as)
            if source is None:
                raise TaloError(f"{directory} lacks {record.stored_as}: it cannot be undone.")
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            edits = [edit for edit in manifest.edits if edit.file == name]
            copied = copy_edited(source, path, progress=advance)
            for edit in edits:
                _restore(path, edit, *originals[undo_name(edit)])
            digest = file_sha256(path) if edits or copied.sha256 is None else copied.sha256
            if record.sha256 is not None and digest != record.sha256:
                raise ProofError(
                    f"{name} rebuilt from {directory} does not have the base's SHA-256 "
                    f"{record.sha256}: the export was changed since, or the base is another."
                )
            if base is not None:
                _compare(digest, bases.pop(name, None), base / name, advance)
            elif record.sha256 is None:
                raise UsageError(
                    f"{name} was linked or cloned unread, so there is no hash to check it by: "
                    f"give the base with --base ({manifest.base})."
                )
        unknown = [name for name, file in bases.items() if not is_left_out(file)]
        if unknown:
            raise ProofError(f"{base} holds {unknown[0]}, which {directory} was made without.")
    return UndoReport(
        out=out,
        files=len(manifest.files),
        restored=tuple(edit.tensor for edit in manifest.edits),
        checked=len(manifest.files),
        seconds=time.perf_counter() - started,
    )


def _compare(
    digest: str, original: BaseFile | None, path: Path, progress: Callable[[int], None]
) -> None:
    if original is None or file_sha256(original.source, progress) != digest:
        raise ProofError(
            f"what was rebuilt is not {path}: the export was changed, or that is another base."
        )


def _originals(
    directory: Path,
    manifest: Manifest,
    present: Mapping[str, BaseFile],
    base: Path | None,
) -> dict[str, tuple[Path, int]]:
    """Where each edit's original bytes lie: file and absolute offset, by the edit's undo name."""
    found: dict[str, tuple[Path, TensorEntry]] = {}
    if base is not None:
        files = {file.name: file.source for file in list_files(base)}
        for edit in manifest.edits:
            if edit.file in files:
                entry = read_tensors(files[edit.file]).tensors.get(edit.tensor)
                if entry is not None:
                    found[undo_name(edit)] = (files[edit.file], entry)
    elif UNDO_FILE in manifest.added and UNDO_FILE in present:
        source = present[UNDO_FILE].source
        found = {name: (source, entry) for name, entry in read_tensors(source).tensors.items()}
    else:
        raise UsageError(
            f"{directory} was written without --keep-undo: give the base with --base "
            f"({manifest.base})."
        )
    for edit in manifest.edits:
        original = found.get(undo_name(edit))
        if original is None or original[1].nbytes != edit.nbytes:
            raise TaloError(f"the original of {edit.tensor!r} is not in {base or UNDO_FILE}.")
    return {name: (path, entry.offset) for name, (path, entry) in found.items()}


def _restore(path: Path, edit: Edit, source: Path, offset: int) -> None:
    with source.open("rb") as reader, path.open("r+b") as writer:
        writer.seek(edit.offset)
        for _, chunk in chunks(reader, offset, edit.nbytes):
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
