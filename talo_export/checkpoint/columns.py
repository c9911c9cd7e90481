"""Which bytes of a stored matrix belong to some of its inputs alone, in every way it is stored.

A head that is cut is columns of the output projection. Where a format has a code of 0.0 its codes
are filled. Where codes carry an offset the scales of the head's own groups are zeroed; where heads
share a scale and the storage is symmetric, the code in the middle stands for zero in every group,
and the codes are filled with it. What is left is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

import numpy as np

from talo_export.checkpoint.formats import (
    Filling,
    components,
    declared_quantisation,
    four_bit_zero,
    is_plain,
    parameter_stem,
    recognise,
    unknown_storage,
)
from talo_export.checkpoint.layout import Layout, Located
from talo_export.checkpoint.packings import FOUR_BIT, FOUR_BIT_TABLE, Packing
from talo_export.errors import TaloError
from talo_export.models.targets import Columns


def column_fillings(layout: Layout, storage: str, columns: Columns) -> tuple[Filling, ...]:
    """What to write, and where, so that the inputs in `columns` bring in exactly zero.

    Raises `TaloError` as `fillings`, and where no one byte is zero for these inputs alone.
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
    found = components(layout, parameter_stem(name))
    if located is not None and is_plain(located, storage, found):
        shape, dtype = located.entry.shape, located.entry.dtype
        if len(shape) != 2 or shape[columns.axis] != columns.of:
            raise _no_columns(columns, f"{dtype} of shape {list(shape)}")
        return (_codes(located, b"\x00", columns, columns.axis, dtype),)
    packing = recognise(found, storage)
    if packing is None:
        raise unknown_storage(layout, name, found, storage)
    return (_packed_parts(layout, packing, found, columns),)


def _packed_parts(
    layout: Layout, packing: Packing, found: Mapping[str, Located], columns: Columns
) -> Filling:
    """The part of a packing's codes or scales that belongs to some inputs alone."""
    if packing is FOUR_BIT:
        # Rows of codes one after another, two a byte.
        zero = four_bit_zero(layout, found[FOUR_BIT_TABLE])
        units = columns.of // 2
        return _parts(found[".weight"], zero, columns, units, units, packing.name)
    if packing.codes:
        return _scaled_parts(layout, packing, found, columns)
    (component, *others) = [part for part in packing.zeroed if part in found]
    if any(any(layout.read(found[part])) for part in others):
        raise _no_columns(columns, f"{packing.name} with zero points")
    entry = found[component].entry
    if entry.nbytes > next(iter(entry.shape), 0) * columns.of:
        raise _no_columns(columns, f"{packing.name} of shape {list(entry.shape)}")
    return _codes(found[component], b"\x00", columns, packing.inputs_axis, packing.name)


def _scaled_parts(
    layout: Layout, packing: Packing, found: Mapping[str, Located], columns: Columns
) -> Filling:
    """The scales of the inputs' own groups; where other inputs share these, the codes."""
    scales, codes, axis = found[packing.zeroed[0]], found[packing.codes], packing.inputs_axis
    shape = scales.entry.shape if len(scales.entry.shape) == 2 else (1, 1)
    outputs = codes.entry.shape[0] if axis and codes.entry.shape else shape[1]
    bits, rest = divmod(8 * codes.entry.nbytes, columns.of * outputs or 1)
    kind = _declared_layout(layout, packing)
    if rest or not 0 < bits <= 8 or not shape[axis] or kind not in (*packing.layouts, ""):
        raise _no_columns(columns, f"{packing.name} in the layout {kind!r}")
    inputs, rest = divmod(columns.of, shape[axis])
    own = not rest and all(run.start % inputs == run.stop % inputs == 0 for run in columns.inputs)
    if own and all(_ascending(layout, found[part], inputs) for part in found if "g_idx" in part):
        every = scales.entry.nbytes // (shape[0] if axis else 1)
        return _parts(scales, b"\x00", columns, shape[axis], every, packing.name)
    points = found.get(packing.zero_points)
    zero = _middle(bits, None if points is None else layout.read(points), less_one=kind == "gptq")
    if zero is None:
        what = f"of {bits} bits" if 8 % bits else "with zero points"
        why = "groups in another order than the heads'" if own else "scales shared by several heads"
        raise _no_columns(columns, f"{packing.name} {what}, {why}")
    return _codes(codes, zero, columns, axis, packing.name)


def _declared_layout(layout: Layout, packing: Packing) -> str:
    """By any of the keys that it goes by; empty where a packing has only one."""
    if not packing.layouts:
        return ""
    declared = declared_quantisation(layout.config)
    keys = ("checkpoint_format", "version", "format") if isinstance(declared, Mapping) else ()
    return str(next(filter(None, map(declared.get, keys)), packing.layouts[0])).lower()


def _middle(bits: int, zero_points: bytes | None, *, less_one: bool) -> bytes | None:
    """The byte of codes in the middle of their range, where these stand for zero in every group.

    None where they do not, or codes span bytes. `less_one`: zero points are stored so.
    """
    if 8 % bits:
        return None
    ones = 255 // (2**bits - 1)
    middle = ones << (bits - 1)
    stored = middle - ones if less_one else middle
    symmetric = zero_points is None or set(zero_points) == {stored}
    return bytes([middle]) if symmetric else None


def _codes(located: Located, zero: bytes, columns: Columns, axis: int, how: str) -> Filling:
    """Columns of a matrix whose numbers lie one after another in each row, or rows of one whose
    first dimension counts the inputs."""
    shape = located.entry.shape
    rows = shape[0] if axis and shape else 1
    every = located.entry.nbytes // max(rows, 1)
    units = gcd(columns.of, every) if axis else next(iter(shape), 0)
    return _parts(located, zero, columns, units, every, how)


def _parts(
    located: Located, pattern: bytes, columns: Columns, units: int, every: int, how: str
) -> Filling:
    """`every` so many bytes the inputs come again, stored as so many equal `units`."""
    fits = units and every and not (columns.of % units or every % units)
    if not fits or located.entry.nbytes % every:
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
        f"{columns.weight} is stored as {how}, in which no one byte stands for zero in these heads "
        "alone: cut the whole layer, or export from the unquantised base."
    )


def _ascending(layout: Layout, order: Located, inputs: int) -> bool:
    """Whether every so many `inputs` are a group, in the order of their places."""
    width = "<i8" if order.entry.dtype == "I64" else "<i4"
    numbers = np.frombuffer(layout.read(order), width)
    return bool(np.array_equal(numbers, np.arange(numbers.size) // inputs))
