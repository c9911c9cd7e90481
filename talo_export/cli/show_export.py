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

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name, justify in (("file", "left"), ("tensor", "left"), ("dtype", "left"),
                          ("shape", "left"), ("offset", "right"), ("bytes", "right")):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for edit in document["edits"]:
        shape = " x ".join(map(str, edit["shape"])) or "scalar"
        table.add_row(
            edit["file"], edit["tensor"], edit["dtype"], shape,
            f"{edit['offset']:,}", f"{edit['bytes']:,}",
        )  # fmt: skip
    to.print(table)
    what = f"layer {document['layer']}, scope {document['scope']}, fill {document['fill']}"
    size = f"{len(document['edits'])} tensors, {document['bytes_total']:,} bytes"
    if document["out"] is None:
        edited = [file["file"] for file in document["files"] if file["edits"]]
        to.print(
            f"would copy {len(document['files'])} files, {len(document['linked'])} of them as hard "
            f"links, which needs {document['disk_needed']:,} bytes of disk, and fill {what} "
            f"({size}) in {', '.join(edited)}. Nothing was written."
        )
    else:
        to.print(f"wrote {document['out']}: {what}, {size}, in {document['seconds']:.1f} s")
        to.print(f"next: talo-export verify {document['out']}", style="dim")


def _show_adapter(document: dict[str, Any], to: Console) -> None:
    """An adapter edits nothing: it names the modules it silences."""
    what = f"layer {document['layer']}: {', '.join(document['modules'])} scaled to zero"
    if document["out"] is None:
        to.print(f"would write a PEFT adapter of {document['bytes_total']} bytes, {what}")
    else:
        to.print(f"wrote {document['out']}: a PEFT adapter, {what}")
        to.print("load it on its base with peft.PeftModel.from_pretrained", style="dim")
