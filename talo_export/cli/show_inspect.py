"""A decoder's anatomy, for a person: one line a layer, runs of equal layers folded into one."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show_inspect(document: dict[str, Any], to: Console) -> None:
    """Print the document of `inspect --json`."""
    from rich.table import Table

    to.print(
        f"{document['model']}: {document['architecture']}, {len(document['layers'])} decoder "
        f"layers at {document['decoder']}, stored {document['storage']}",
        highlight=False,
    )
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("layers", "mixer", "tensors", "stored as"):
        table.add_column(name, overflow="fold")
    table.add_column("bytes a layer", justify="right")
    table.add_column("knockout", overflow="fold")
    for _, run in groupby(document["layers"], key=_alike):
        layers = list(run)
        first, last = layers[0]["layer"], layers[-1]["layer"]
        for mixer in layers[0]["mixers"]:
            table.add_row(
                str(first) if first == last else f"{first}-{last}",
                mixer["kind"],
                " ".join(t["name"].removeprefix(_stem(mixer)) for t in mixer["tensors"]),
                " ".join(dict.fromkeys(t["dtype"] for t in mixer["tensors"])),
                f"{sum(t['bytes'] for t in mixer['tensors']):,}",
                _knockout(layers[0], mixer),
            )
    to.print(table)
    for warning in document["warnings"]:
        to.print(f"warning: {warning}", style="yellow", highlight=False)


def _knockout(layer: dict[str, Any], mixer: dict[str, Any]) -> str:
    """Whether `export` would cut it, or why not."""
    if mixer["kind"] != "self-attention":
        return mixer["declined"] or "-"
    if layer["cut"]:
        return "cut already"
    if layer["knockout"]["attention"] is None:
        return "yes"
    only = "" if layer["knockout"]["o_proj"] else "--scope o_proj only: "
    return only + layer["knockout"]["attention"]


def _alike(layer: dict[str, Any]) -> object:
    """What makes two layers look the same in the table."""
    return layer["cut"], tuple(
        (
            mixer["kind"],
            mixer["declined"],
            tuple((t["name"].removeprefix(_stem(mixer)), t["dtype"], t["bytes"])
                  for t in mixer["tensors"]),
        )
        for mixer in layer["mixers"]
    )  # fmt: skip


def _stem(mixer: dict[str, Any]) -> str:
    """The part of their names that a mixer's tensors share, up to a dot."""
    names = [tensor["name"] for tensor in mixer["tensors"]]
    if not names:
        return ""
    low, high = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low.rfind(".", 0, same) + 1]
