"""A decoder's anatomy, for a person: one line a layer, runs of equal layers folded into one."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.commands.inspect import InspectedLayer, InspectedMixer, Inspection


def show_inspect(inspection: Inspection, to: Console) -> None:
    """One line a layer and mixer, equal ones folded."""
    from rich.table import Table

    to.print(
        f"{inspection.model}: {inspection.architecture}, {len(inspection.layers)} decoder "
        f"layers at {inspection.decoder}, stored {inspection.storage}",
    )
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("layers", "mixer", "tensors", "stored as"):
        table.add_column(name, overflow="fold")
    table.add_column("bytes a layer", justify="right")
    table.add_column("knockout", overflow="fold")
    for _, run in groupby(inspection.layers, key=_alike):
        layers = list(run)
        first, last = layers[0].layer, layers[-1].layer
        for mixer in layers[0].mixers:
            table.add_row(
                str(first) if first == last else f"{first}-{last}",
                mixer.kind,
                " ".join(t.name.removeprefix(_stem(mixer)) for t in mixer.tensors),
                " ".join(dict.fromkeys(t.dtype for t in mixer.tensors)),
                f"{sum(t.nbytes for t in mixer.tensors):,}",
                _knockout(layers[0], mixer),
            )
    to.print(table)
    for warning in inspection.warnings:
        to.print(f"warning: {warning}", style="yellow")


def _knockout(layer: InspectedLayer, mixer: InspectedMixer) -> str:
    """Whether `export` would cut it, or why not."""
    if mixer.kind != "self-attention":
        return mixer.declined or "-"
    if layer.cut:
        return "cut already"
    refusal = layer.knockout["attention"]
    if refusal is None:
        return "yes"
    return refusal if layer.knockout["o_proj"] else f"--scope o_proj only: {refusal}"


def _alike(layer: InspectedLayer) -> object:
    """What makes two layers look the same in the table."""
    return layer.cut, tuple(
        (
            mixer.kind,
            mixer.declined,
            tuple((t.name.removeprefix(_stem(mixer)), t.dtype, t.nbytes)
                  for t in mixer.tensors),
        )
        for mixer in layer.mixers
    )  # fmt: skip


def _stem(mixer: InspectedMixer) -> str:
    """The part of their names that a mixer's tensors share, up to a dot."""
    names = [tensor.name for tensor in mixer.tensors]
    if not names:
        return ""
    low, high = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low.rfind(".", 0, same) + 1]
