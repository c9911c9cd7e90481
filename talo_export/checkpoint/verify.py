"""Holding an exported directory against its manifest and, where at hand, its base.

File by file: every byte of every file is read and hashed. Tensor by tensor: every planned range
holds its fill, and every other tensor's bytes are the base's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from talo_export.checkpoint.adapter_files import ADAPTER, scaling_vectors
from talo_export.checkpoint.claims import contradictions
from talo_export.checkpoint.files import BaseFile, list_files
from talo_export.checkpoint.hashing import edited_sha256, file_sha256
from talo_export.checkpoint.header import TensorEntry
from talo_export.checkpoint.layout import CONTAINERS, UNDO_FILE, read_tensors
from talo_export.checkpoint.manifest import MANIFEST, Manifest, read_manifest
from talo_export.checkpoint.plan import Edit
from talo_export.checkpoint.ranges import paired, same_bytes
from talo_export.checkpoint.undo_file import undo_name
from talo_export.errors import TaloError
from talo_export.models.reference import OTHER_FORMATS
from talo_export.reporting import SILENT, Reporter, steps


@dataclass(frozen=True)
class FileVerdicts:
    """The files of an export, named as there."""

    identical: tuple[str, ...]
    edited: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    wrong: tuple[str, ...]
    """Those whose bytes are not what they must be."""
    unchecked: tuple[str, ...]
    """Those for which there is neither a recorded hash nor a base to compare with."""
    other_base: tuple[str, ...]
    """Those of `wrong` whose file in the given base is not the one the export was made from."""
    added: tuple[str, ...]
    """Files that the base did not have, as they were written."""


@dataclass(frozen=True)
class TensorVerdicts:
    """The tensors of an export."""

    identical: int
    filled: tuple[str, ...]
    other: tuple[str, ...]
    """Tensors that are neither the base's nor filled as planned."""


@dataclass(frozen=True)
class FileReport(FileVerdicts):
    """What `verify` found on disk."""

    tensors: TensorVerdicts
    contradictions: tuple[str, ...]
    """Of the manifest's own numbers, a phrase each."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Whatever is wrong, missing, unexpected or cannot be true, by name."""
        of_files = (*self.wrong, *self.missing, *self.extra)
        return (*of_files, *self.tensors.other, *self.contradictions)

    @property
    def ok(self) -> bool:
        """There is no problem, and something was filled."""
        return not self.problems and bool(self.tensors.filled)


def verify_files(
    directory: Path,
    base: Path | None = None,
    reporter: Reporter = SILENT,
) -> FileReport:
    """Compare every file and tensor of an export with its manifest, and with `base` if given.

    Reports the bytes hashed. Raises `TaloError` where there is no sound manifest, or a directory
    cannot be read.
    """
    manifest = read_manifest(directory)
    present = {file.name: file for file in list_files(directory)}
    # An adapter holds nothing of the base.
    with_base = base is not None and manifest.storage != ADAPTER
    origin = {file.name: file for file in list_files(base)} if base and with_base else {}
    verdicts: dict[str, list[str]] = {
        key: []
        for key in ("identical", "edited", "missing", "wrong", "unchecked", "other_base", "added")
    }
    total = _bytes_to_hash(manifest, present, origin)
    advance = steps(reporter.phase("comparing files", total, "bytes"))

    for name, record in manifest.files.items():
        file = present.get(record.stored_as)
        if file is None:
            verdicts["missing"].append(record.stored_as)
            continue
        recorded = record.sha256_export or record.sha256
        verdict = _compare(file, recorded, origin.get(name), manifest, advance)
        if with_base and name not in origin:
            verdict = "other_base"
        verdicts[verdict].append(record.stored_as)
        if verdict == "other_base":
            verdicts["wrong"].append(record.stored_as)
    for name in manifest.added:
        verdicts[_compare_added(name, manifest, present, advance)].append(name)
    verdicts["missing"] += [
        name
        for name, file in origin.items()
        if name not in manifest.files and name not in present and not is_left_out(file)
    ]
    expected = {record.stored_as for record in manifest.files.values()} | set(manifest.added)
    if manifest.storage == ADAPTER:
        identical, filled, other = _vectors(directory)
    else:
        identical, filled, other = _tensors(manifest, present, origin, verdicts["wrong"])
    return FileReport(
        **{key: tuple(names) for key, names in verdicts.items()},
        extra=tuple(name for name in present if name not in expected),
        contradictions=contradictions(manifest),
        tensors=TensorVerdicts(identical, filled, other),
    )


def holds_fill(path: Path, edit: Edit, original: Path | None = None) -> bool:
    """Whether the file at `path` has what `edit` puts there, and the bytes of `original` beside."""
    pairs = paired(path, edit.offset, original or path, edit.offset, edit.nbytes)
    for start, chunk, before in pairs:
        wanted = bytearray(before)
        edit.overwrite(wanted, start)
        if chunk != wanted:
            return False
    return True


def _vectors(directory: Path) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    """As `_tensors`, of an adapter: all of its vectors must be zero."""
    vectors = scaling_vectors(directory)
    filled = tuple(name for name, zero in vectors.items() if zero)
    return 0, filled, tuple(name for name, zero in vectors.items() if not zero)


def is_left_out(file: BaseFile) -> bool:
    """Weights in other formats are not downloaded with a base, though a cache may have them."""
    return file.in_cache and any(fnmatch(file.name, pattern) for pattern in OTHER_FORMATS)


def _compare_added(
    name: str,
    manifest: Manifest,
    present: Mapping[str, BaseFile],
    progress: Callable[[int], None],
) -> str:
    """`added`, `missing`, `wrong` or `unchecked`, of a file that the base did not have."""
    if name not in present:
        return "missing"
    recorded = manifest.added_sha256.get(name)
    if recorded is not None:
        return "added" if file_sha256(present[name].source, progress) == recorded else "wrong"
    if name == UNDO_FILE:
        originals = _entries(present[name])
        kept = all(undo_name(edit) in originals for edit in manifest.edits)
        return "unchecked" if kept else "wrong"
    # The manifest is what all is held against.
    return "added" if name == MANIFEST else "unchecked"


def _bytes_to_hash(
    manifest: Manifest, present: Mapping[str, BaseFile], origin: Mapping[str, BaseFile]
) -> int:
    there = [
        (present[record.stored_as].nbytes, name)
        for name, record in manifest.files.items()
        if record.stored_as in present
    ]
    added = sum(present[name].nbytes for name in manifest.added_sha256 if name in present)
    return added + sum(
        size + (origin[name].nbytes if name in origin else 0) for size, name in there
    )


def _compare(
    file: BaseFile,
    recorded: str | None,
    original: BaseFile | None,
    manifest: Manifest,
    progress: Callable[[int], None],
) -> str:
    """`identical`, `edited`, `wrong`, `other_base` or `unchecked`."""
    edits = [edit for edit in manifest.edits if edit.file == file.name]
    verdict = "edited" if edits else "identical"
    if original is None and recorded is None:
        return "unchecked"
    if original is not None and recorded is None:
        if original.source.samefile(file.source):
            return verdict
        recorded = edited_sha256(original.source, edits, progress)
    elif original is not None and edited_sha256(original.source, edits, progress) != recorded:
        return "other_base"
    return verdict if file_sha256(file.source, progress) == recorded else "wrong"


def _tensors(
    manifest: Manifest,
    present: Mapping[str, BaseFile],
    origin: Mapping[str, BaseFile],
    wrong: Iterable[str],
) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    """How many tensors are the base's; which are filled as planned; which are neither.

    A file whose bytes are as they must be has all its tensors; only in a wrong one is each of them
    compared, where the base is at hand.
    """
    identical = 0
    filled: list[str] = []
    other: list[str] = []
    suspicious = set(wrong)
    for name, record in manifest.files.items():
        planned = {edit.tensor: edit for edit in manifest.edits if edit.file == name}
        file = present.get(record.stored_as)
        entries = _entries(file) if name.endswith(CONTAINERS) else {}
        other += [tensor for tensor in planned if tensor not in entries]
        if file is None:
            continue
        original = origin.get(name) if record.stored_as in suspicious else None
        before = _entries(original)
        for tensor, entry in entries.items():
            edit = planned.get(tensor)
            if edit is not None:
                # The base's tensor may lie elsewhere, or be another's.
                beside = original.source if original and before.get(tensor) == entry else None
                good = _matches(entry, edit) and holds_fill(file.source, edit, beside)
                (filled if good else other).append(tensor)
            elif record.stored_as not in suspicious:
                identical += 1
            elif original is not None:
                same = tensor in before and same_bytes(
                    original.source, before[tensor], file.source, entry
                )
                identical += same
                if not same:
                    other.append(tensor)
    return identical, tuple(filled), tuple(other)


def _entries(file: BaseFile | None) -> Mapping[str, TensorEntry]:
    """The tensors of a file; none where it is absent or so damaged that it has no sound header."""
    if file is None:
        return {}
    try:
        return read_tensors(file.source).tensors
    except TaloError:
        return {}


def _matches(entry: TensorEntry, edit: Edit) -> bool:
    return (entry.offset, entry.nbytes, entry.shape, entry.dtype) == (
        edit.offset, edit.nbytes, edit.shape, edit.dtype,
    )  # fmt: skip
