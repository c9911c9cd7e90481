"""What an export will change, worked out and checked before a byte is written.

`plan_export` turns a knockout and the on-disk names of a layer's tensors into byte ranges and the
bytes to put there. The plan is a frozen value: `--dry-run` prints it, the writer carries it out,
the manifest records it, and verification checks the result against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from talo_export.checkpoint import formats
from talo_export.checkpoint.columns import column_fillings
from talo_export.checkpoint.files import BaseFile, SafeName, check_text
from talo_export.checkpoint.header import Header
from talo_export.checkpoint.layout import Layout, read_layout
from talo_export.codec import Count, Field, Hex, maybe
from talo_export.errors import ProofError, TaloError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.targets import knockout_targets


@dataclass(frozen=True, slots=True)
class Edit:
    """`nbytes` bytes from `offset` (absolute) in `file` become `pattern`, repeated; or only `parts`
    of every so many of them."""

    file: SafeName
    tensor: str
    dtype: str
    shape: tuple[Count, ...]
    offset: Count
    nbytes: Annotated[Count, Field(alias="bytes")]
    pattern: Hex
    runs: Annotated[tuple[Count, ...], maybe] = ()
    """Where loading makes several parameters of the tensor: `pattern` holds one element of each,
    which fill so many bytes in turn, over and over."""
    every: Annotated[Count | None, maybe] = None
    """Where parts are overwritten: after how many bytes the same parts come again."""
    parts: Annotated[tuple[tuple[Count, Count], ...], maybe] = ()
    """(first byte, how many) within each `every` bytes, ascending; the others stay."""

    @property
    def end(self) -> int:
        """The first byte after the edited range."""
        return self.offset + self.nbytes

    @property
    def overwritten(self) -> int:
        """How many bytes are put there."""
        if not self.every:
            return self.nbytes
        return self.nbytes // self.every * sum(length for _, length in self.parts)

    def pieces(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        """(first byte, how many), each overwritten, of `length` bytes from the tensor's `start`."""
        if not self.every:
            yield start, length
            return
        end = start + length
        for row in range(start - start % self.every, end, self.every):
            for first, size in self.parts:
                begin, stop = max(start, row + first), min(end, row + first + size)
                if begin < stop:
                    yield begin, stop - begin

    def overwrite(self, chunk: bytearray | memoryview, start: int) -> None:
        """Put the edit's bytes in place in `chunk`, which begins at the tensor's byte `start`."""
        for first, length in self.pieces(start, len(chunk)):
            chunk[first - start : first - start + length] = self.filling(first, length)

    @property
    def fits(self) -> bool:
        """Whether the pattern and the parts repeat a whole number of times."""
        if self.every is not None or self.parts:
            ends = [0, *(end for first, size in self.parts for end in (first, first + size))]
            ordered = ends == sorted(ends) and all(size for _, size in self.parts)
            every = self.every or 0
            whole = bool(self.parts) and ordered and ends[-1] <= every and self.nbytes % every == 0
            return whole and not self.runs and len(self.pattern) == 1
        if not self.runs:
            return bool(self.pattern) and self.nbytes % len(self.pattern) == 0
        width, rest = divmod(len(self.pattern), len(self.runs))
        whole = width > 0 and rest == 0 and all(run > 0 and run % width == 0 for run in self.runs)
        return whole and self.nbytes % sum(self.runs) == 0

    def filling(self, start: int, length: int) -> bytes:
        """`length` bytes of what is put there, from the tensor's byte `start`."""
        if not self.runs:
            return repeated(self.pattern, start, length)
        width = len(self.pattern) // len(self.runs)
        parts: list[bytes] = []
        position, end = start - start % sum(self.runs), start + length
        for number, run in itertools.cycle(enumerate(self.runs)):
            if position >= end:
                break
            begin, stop = max(start, position), min(end, position + run)
            unit = self.pattern[number * width : (number + 1) * width]
            if begin < stop:
                parts.append(repeated(unit, begin - position, stop - begin))
            position += run
        return b"".join(parts)


@dataclass(frozen=True)
class EditPlan:
    """A knockout as byte ranges of the files of one directory."""

    directory: Path
    knockout: Knockout
    storage: str
    """The base's quantisation method, `plain` for unquantised weights."""
    edits: tuple[Edit, ...]
    files: tuple[BaseFile, ...]
    """Every file that will be copied."""
    shards: Mapping[str, Header]
    """The headers of the files that are loaded, by name."""
    warnings: tuple[str, ...] = ()

    @property
    def bytes_total(self) -> int:
        """Bytes overwritten."""
        return sum(edit.overwritten for edit in self.edits)

    @property
    def originals_total(self) -> int:
        """Bytes of the edited tensors: what is kept to undo the edits."""
        return sum(edit.nbytes for edit in self.edits)

    @property
    def disk_needed(self) -> int:
        """Bytes of a full copy: what must be free before anything is written."""
        return sum(file.nbytes for file in self.files)

    def disk_needed_with(self, linked: Collection[str], *, keep_undo: bool) -> int:
        """Bytes of a copy in which the files `linked` become links; originals kept on demand."""
        copied = sum(file.nbytes for file in self.files if file.name not in linked)
        return copied + (self.originals_total if keep_undo else 0)

    def edits_of(self, file: str) -> tuple[Edit, ...]:
        """The edits of one file, in the order of their offsets."""
        return tuple(edit for edit in self.edits if edit.file == file)


def plan_export(directory: Path, knockout: Knockout, anatomy: Decoder) -> EditPlan:
    """The edits that carry `knockout` out on the checkpoint in `directory`.

    `anatomy` is what `checkpoint_anatomy(directory)` returns: the decoder with every tensor named
    as it is on disk. Raises `UsageError` for a layer, scope or fill the checkpoint does not have,
    `TaloError` for unsound files and `ProofError` where nothing would be edited.
    """
    check_text(directory)
    layout = read_layout(directory)
    storage = formats.storage_format(layout.config)
    copies = [layout] if layout.twin is None else [layout, layout.twin]
    edits = [edit for copy in copies for edit in edits_on(copy, storage, knockout, anatomy)]
    return EditPlan(
        directory=directory,
        knockout=knockout,
        storage=storage,
        edits=tuple(sorted(edits, key=lambda edit: (edit.file, edit.offset))),
        files=layout.files,
        shards={name: header for copy in copies for name, header in copy.shards.items()},
        warnings=layout.warnings,
    )


def edits_on(
    layout: Layout, storage: str, knockout: Knockout, anatomy: Decoder
) -> tuple[Edit, ...]:
    """The edits alone, in the order of files and offsets. Raises as `plan_export`."""
    targets = knockout_targets(anatomy, knockout)
    # A set, because two names may be components of one stored parameter.
    found = {
        _edit(filling)
        for name in targets.filled
        for filling in formats.fillings(layout, storage, name, knockout.fill, targets.altered)
    }
    for columns in targets.columns:
        found |= {_edit(filling) for filling in column_fillings(layout, storage, columns)}
    edits = tuple(sorted(found, key=lambda edit: (edit.file, edit.offset)))
    if not any(edit.nbytes for edit in edits):
        raise ProofError(
            f"{knockout.label} has no bytes on disk for scope {knockout.scope!r}: nothing would "
            "change."
        )
    _check_disjoint(edits)
    misfit = next((edit.tensor for edit in edits if not edit.fits), None)
    if misfit is not None:
        raise TaloError(f"the fill of {misfit!r} does not fit its bytes: use --fill zero.")
    return edits


def repeated(pattern: bytes, start: int, length: int) -> bytes:
    """`length` bytes of the endless repetition of `pattern`, from its byte `start`."""
    phase = start % len(pattern)
    repeats = (phase + length) // len(pattern) + 1
    return (pattern * repeats)[phase : phase + length]


def _edit(filling: formats.Filling) -> Edit:
    entry = filling.located.entry
    return Edit(
        file=filling.located.file,
        tensor=entry.name,
        dtype=entry.dtype,
        shape=entry.shape,
        offset=entry.offset,
        nbytes=entry.nbytes,
        pattern=filling.pattern,
        runs=filling.runs,
        every=filling.every,
        parts=filling.parts,
    )


def _check_disjoint(edits: tuple[Edit, ...]) -> None:
    for before, after in itertools.pairwise(edits):
        if before.file == after.file and after.offset < before.end:
            raise TaloError(
                f"tensors {before.tensor!r} and {after.tensor!r} share bytes of {before.file}: "
                "cutting one would cut the other."
            )
