"""Which bytes of a stored matrix belong to some of its inputs alone, in every way it is stored.

A head that is cut is columns of the output projection. Where a format stores inputs one by one, or
in groups that lie within a head, those are filled with what decodes to exactly zero; where one
number serves inputs of several heads it is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from talo_export.checkpoint.fills import FLOATS
from talo_export.checkpoint.formats import (
    Filling,
    components,
    four_bit_zero,
    is_component,
    parameter_stem,
    recognise,
    unknown_storage,
)
from talo_export.checkpoint.layout import Layout, Located
from talo_export.checkpoint.packings import FOUR_BIT, ZERO_BYTES, Packing
from talo_export.errors import TaloError
from talo_export.models.targets import Columns


def column_fillings(layout: Layout, storage: str, columns: Columns) -> tuple[Filling, ...]:
    """What to write, and where, so that the inputs in `columns` bring in exactly zero.

    Raises `TaloError` as `fillings`, and where the format has no zero for these inputs alone.
    """
    name = columns.weight
    located = layout.tensors.get(name)
    if storage == "gguf":
        from talo_export.checkpoint.gguf_files import block_of

        if located is None:
            raise unknown_storage(layout, name, {}, storage)
        elements, size, zero = block_of(located.entry.dtype)
        units = columns.of // elements
        return (_parts(located, zero, columns, units, units * size, located.entry.dtype),)
    is_weight = storage == "plain" or not is_component(name)
    if located is not None and located.entry.dtype in FLOATS and is_weight:
        return (_matrix_parts(located, columns, columns.axis, located.entry.dtype),)
    found = components(layout, parameter_stem(name))
    packing = recognise(found, storage)
    if packing is not None:
        return (_packed_parts(layout, packing, found, columns),)
    if located is not None and storage == "plain" and located.entry.dtype in ZERO_BYTES:
        return (_matrix_parts(located, columns, columns.axis, located.entry.dtype),)
    raise unknown_storage(layout, name, found, storage)


def _packed_parts(
    layout: Layout, packing: Packing, found: Mapping[str, Located], columns: Columns
) -> Filling:
    """The part of a packing's codes or scales that belongs to some inputs alone."""
    if packing is FOUR_BIT:
        # Rows of codes one after another, two a byte.
        zero = four_bit_zero(layout, found[".weight.quant_map"])
        units = columns.of // 2
        return _parts(found[".weight"], zero, columns, units, units, packing.name)
    (component, *others) = [part for part in packing.zeroed if part in found]
    filling = _matrix_parts(found[component], columns, packing.inputs_axis, packing.name)
    if others:
        raise _no_columns(columns, f"{packing.name} with zero points")
    for order in (part for part in found if part.endswith("g_idx")):
        groups = columns.of // found[component].entry.shape[packing.inputs_axis]
        if not _ascending(layout, found[order], groups):
            raise _no_columns(columns, f"{packing.name} in another order than the heads'")
    return filling


def _matrix_parts(located: Located, columns: Columns, axis: int, how: str) -> Filling:
    """Columns of a stored matrix, or rows where its first dimension counts the inputs."""
    shape = located.entry.shape
    if len(shape) != 2 or not shape[axis] or columns.of % shape[axis]:
        raise _no_columns(columns, how)
    every = located.entry.nbytes // (shape[0] if axis else 1)
    return _parts(located, b"\x00", columns, shape[axis], every, how)


def _parts(
    located: Located, pattern: bytes, columns: Columns, units: int, every: int, how: str
) -> Filling:
    """`every` so many bytes the inputs come again, stored as so many equal `units`."""
    if not units or columns.of % units or every % units or located.entry.nbytes % every:
        raise _no_columns(columns, how)
    inputs, width = columns.of // units, every // units
    if any(run.start % inputs or run.stop % inputs for run in columns.inputs):
        raise _no_columns(columns, f"{how}, {inputs} inputs together")
    parts = tuple(
        (run.start // inputs * width, len(run) // inputs * width) for run in columns.inputs
    )
    return Filling(located, pattern, every=every, parts=parts)


def _no_columns(columns: Columns, how: str) -> TaloError:
    return TaloError(
        f"{columns.weight} is stored as {how}, in which these heads alone cannot be zero: cut the "
        "whole layer, or export from the unquantised base."
    )


def _ascending(layout: Layout, order: Located, groups: int) -> bool:
    """Whether the group of each input is that of its place."""
    width = "<i8" if order.entry.dtype == "I64" else "<i4"
    numbers = np.frombuffer(layout.read(order), width)
    return bool(np.array_equal(numbers, np.arange(numbers.size) // groups))
