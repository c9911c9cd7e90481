"""An export's plan or result, for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.commands.export import (
        AdapterExport,
        CheckpointExport,
        ExportedFile,
        ExportResult,
        PlannedExport,
    )


def show_export(result: ExportResult, to: Console) -> None:
    """The edits as a table, and what was written, or what would be."""
    from talo_export.commands.export import AdapterExport, CheckpointExport, PlannedExport

    if isinstance(result, AdapterExport):
        _show_adapter(result, to)
    elif isinstance(result, CheckpointExport):
        _show_edits(result, to)
        what = f"layer {result.layer}, scope {result.scope}, fill {result.fill}"
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
            to.print(f"next: talo-export verify {result.out}", style="dim")


def _show_edits(result: CheckpointExport, to: Console) -> None:
    from rich.table import Table

    for file in dict.fromkeys(edit.file for edit in result.edits):
        # A table a file, because names of shards and of tensors together fill a screen's width.
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column(f"tensor in {file}", overflow="fold")
        table.add_column("dtype")
        table.add_column("shape")
        table.add_column("offset", justify="right")
        table.add_column("bytes", justify="right")
        for edit in result.edits:
            if edit.file == file:
                shape = " x ".join(map(str, edit.shape)) or "scalar"
                table.add_row(
                    edit.tensor, edit.dtype, shape, f"{edit.offset:,}", f"{edit.nbytes:,}"
                )
        to.print(table)


def _show_files(result: PlannedExport, to: Console) -> None:
    """What would become of every file of the base, and which files would be added."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("would be")
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
    what = f"layer {result.layer}: {', '.join(result.modules)} scaled to zero"
    if result.out is None:
        to.print(f"would write a PEFT adapter of {result.bytes_total} bytes, {what}")
    else:
        to.print(f"wrote {result.out}: a PEFT adapter, {what}")
        to.print("load it on its base with peft.PeftModel.from_pretrained", style="dim")
