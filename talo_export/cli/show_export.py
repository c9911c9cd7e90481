"""An export's plan or result, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show_export(document: dict[str, Any], to: Console) -> None:
    """The edits as a table, and what was written, or what would be."""
    from rich.table import Table

    if "modules" in document:
        _show_adapter(document, to)
        return

    for file in dict.fromkeys(edit["file"] for edit in document["edits"]):
        # A table a file, because names of shards and of tensors together fill a screen's width.
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column(f"tensor in {file}", overflow="fold")
        for name, justify in (("dtype", "left"), ("shape", "left"), ("offset", "right"),
                              ("bytes", "right")):  # fmt: skip
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        for edit in document["edits"]:
            if edit["file"] == file:
                shape = " x ".join(map(str, edit["shape"])) or "scalar"
                offset, size = f"{edit['offset']:,}", f"{edit['bytes']:,}"
                table.add_row(edit["tensor"], edit["dtype"], shape, offset, size)
        to.print(table)
    what = f"layer {document['layer']}, scope {document['scope']}, fill {document['fill']}"
    size = f"{len(document['edits'])} tensors, {document['bytes_total']:,} bytes"
    if document["out"] is None:
        _show_files(document, to)
        free = document["disk_free"]
        has = "" if free is None else f" ({free:,} are free)"
        to.print(
            f"would fill {what}: {size}. The {len(document['files'])} files take at most "
            f"{document['disk_needed']:,} bytes of disk{has}. Nothing was written."
        )
    else:
        to.print(f"wrote {document['out']}: {what}, {size}, in {document['seconds']:.1f} s")
        to.print(f"next: talo-export verify {document['out']}", style="dim")


def _show_files(document: dict[str, Any], to: Console) -> None:
    """What would become of every file of the base, and which files would be added."""
    from rich.table import Table

    from talo_export.jobs.export_plan import becomes

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("would be")
    for file in document["files"]:
        table.add_row(file["file"], f"{file['bytes']:,}", becomes(file, document["linked"]))
    for name in document["added"]:
        table.add_row(name, "", "written")
    to.print()
    to.print(table)
    to.print()


def _show_adapter(document: dict[str, Any], to: Console) -> None:
    """An adapter edits nothing: it names the modules it silences."""
    what = f"layer {document['layer']}: {', '.join(document['modules'])} scaled to zero"
    if document["out"] is None:
        to.print(f"would write a PEFT adapter of {document['bytes_total']} bytes, {what}")
    else:
        to.print(f"wrote {document['out']}: a PEFT adapter, {what}")
        to.print("load it on its base with peft.PeftModel.from_pretrained", style="dim")
