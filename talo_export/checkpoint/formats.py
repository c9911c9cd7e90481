"""How a checkpoint stores its weights, and which bytes of it decode to exactly zero.

A plain checkpoint stores one tensor a parameter. A quantised one stores a projection as several:
codes, scales, offsets. What decodes to zero differs: where a code stands for 0.0 the codes are
filled with it and the scales kept; where codes carry an offset (GPTQ, AWQ, packed integers) the
scales are zeroed and the codes kept. A format is recognised by what `config.json` declares *and*
by the names and dtypes of the tensors; whatever is not recognised in full is refused by name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talo_export.checkpoint import fills
from talo_export.checkpoint.layout import Layout, Located
from talo_export.checkpoint.packings import (
    COMPONENTS,
    FOUR_BIT,
    FOUR_BIT_TABLE,
    KNOWN_METHODS,
    PACKINGS,
    RUNTIME,
    ZERO_BYTES,
    Packing,
)
from talo_export.checkpoint.pieces import moved_pattern
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Fill
from talo_export.models.anatomy import Altered


@dataclass(frozen=True, slots=True)
class Filling:
    """One stored tensor and the bytes to repeat over it; `runs`, `every`, `parts` as in `Edit`."""

    located: Located
    pattern: bytes
    runs: tuple[int, ...] = ()
    every: int | None = None
    parts: tuple[tuple[int, int], ...] = ()


def declared_quantisation(config: Mapping[str, Any]) -> Any:
    """What `config.json` says of it, of any shape; empty or None where it says nothing."""
    text = config.get("text_config")
    return config.get("quantization_config") or (
        text.get("quantization_config") if isinstance(text, Mapping) else None
    )


def storage_format(config: Mapping[str, Any]) -> str:
    """The `quant_method` that `config.json` declares, `plain` where it declares none.

    Raises `TaloError` naming a method whose bytes of zero are not known.
    """
    declared = declared_quantisation(config)
    if not declared:
        return "plain"
    method = declared.get("quant_method") if isinstance(declared, Mapping) else declared
    if method is None and isinstance(declared, Mapping):
        # Early bitsandbytes uploads name no method.
        loads = declared.get("load_in_4bit") or declared.get("load_in_8bit")
        method = "bitsandbytes" if loads else None
    if method not in KNOWN_METHODS:
        raise TaloError(
            f"the base is quantised with {method!r}, and only {', '.join(KNOWN_METHODS)} are known "
            "here: export from the unquantised base."
        )
    return str(method)


def fillings(
    layout: Layout, storage: str, name: str, fill: Fill, altered: Sequence[Altered] = ()
) -> tuple[Filling, ...]:
    """What to write, and where, so that the parameter `name` decodes to `fill`.

    `name` is the parameter's name on disk (`....o_proj.weight`), whether a tensor of just that
    name is stored or the components of a packing are; `altered` says of what tensors of another
    form are made. Raises `TaloError` for a parameter that is
    not stored, or stored in an unknown way; `UsageError` for a fill it cannot hold.
    """
    located = layout.tensors.get(name)
    if storage == "gguf":
        return (_gguf(layout, name, located, fill),)
    stem = parameter_stem(name)
    found = components(layout, stem)
    if located is not None and is_plain(located, storage, found):
        if fill != "zero" and any(one.name == name for one in altered):
            return (Filling(located, *moved_pattern(layout, name, fill, altered)),)
        return (_plain(layout, name, located, fill),)
    packing = recognise(found, storage)
    if packing is None:
        raise unknown_storage(layout, name, found, storage)
    if fill != "zero":
        raise UsageError(
            f"fill {fill!r} exists for float weights only and {stem} is stored as {packing.name}: "
            "use --fill zero."
        )
    # Packed modules may carry a bias that the architecture has not; kernels add it all the same.
    bias = layout.tensors.get(stem + ".bias")
    biases = () if bias is None else (_plain(layout, stem + ".bias", bias, fill),)
    if packing is FOUR_BIT:
        zero = four_bit_zero(layout, found[FOUR_BIT_TABLE])
        return (Filling(found[".weight"], zero), *biases)
    zeroed = [Filling(found[part], b"\x00") for part in packing.zeroed if part in found]
    return (*zeroed, *biases)


def stored_tensors(layout: Layout, name: str) -> tuple[Located, ...]:
    """What is stored of the parameter `name`: one tensor, or the components of its packing."""
    plain = {name: layout.tensors[name]} if name in layout.tensors else {}
    packed = {} if name.endswith(".bias") else components(layout, parameter_stem(name))
    return tuple({one.entry.name: one for one in (*plain.values(), *packed.values())}.values())


def parameter_stem(name: str) -> str:
    """The name that all components of a stored parameter begin with."""
    for component in (*COMPONENTS, ".weight"):
        if name.endswith(component):
            return name[: -len(component)]
    return name


def components(layout: Layout, stem: str) -> dict[str, Located]:
    """The stored components of the parameter `stem`, by what follows it; a bias is none."""
    first, end = (bisect_left(layout.names, stem + last) for last in ("", chr(0x10FFFF)))
    return {
        name[len(stem) :]: layout.tensors[name]
        for name in layout.names[first:end]
        if name.startswith((stem + ".", stem + "_blocks", stem + "_scales"))
        and name != stem + ".bias"
    }


def is_plain(located: Located, storage: str, found: Mapping[str, Located]) -> bool:
    """Whether its numbers are the weights: no scales, and no codes in the dtype of floats.

    `.weight` itself is what plain storage and codes have in common.
    """
    if FOUR_BIT_TABLE in found:
        return False
    if storage == "plain":
        return located.entry.dtype in ZERO_BYTES
    is_scale = located.entry.name.endswith(tuple(part for part in COMPONENTS if part != ".weight"))
    return located.entry.dtype in fills.FLOATS and not is_scale


def recognise(found: Mapping[str, Located], storage: str) -> Packing | None:
    """The packing that these components are of, whole; None where they are of none."""
    for packing in (*PACKINGS, FOUR_BIT):
        allowed = {*packing.signature, *packing.zeroed, *packing.kept, *("." + r for r in RUNTIME)}
        if (
            storage in packing.methods
            and set(found) <= allowed
            and all(
                part in found and found[part].entry.dtype in dtypes
                for part, dtypes in packing.signature.items()
            )
        ):
            return packing
    return None


def four_bit_zero(layout: Layout, table: Located) -> bytes:
    """The byte that holds the code of 0.0 twice."""
    values = np.frombuffer(layout.read(table), "<f4")
    codes = np.flatnonzero(values == 0.0)
    if values.size != 16 or codes.size == 0:
        raise TaloError(
            f"the code table {table.entry.name!r} has no zero: download the base again."
        )
    return bytes([int(codes[0]) * 0x11])


def _plain(layout: Layout, name: str, located: Located, fill: Fill) -> Filling:
    entry = located.entry
    is_bias = len(entry.shape) < 2
    axis = None if is_bias else _output_axis(layout, name, located)
    pattern = fills.pattern(
        fill,
        layout.source(located.file),
        entry,
        d_out=None if axis is None else entry.shape[axis],
        is_bias=is_bias,
    )
    return Filling(located, pattern)


def _gguf(layout: Layout, name: str, located: Located | None, fill: Fill) -> Filling:
    from talo_export.checkpoint.gguf_files import block_of

    if located is None:
        raise unknown_storage(layout, name, {}, "gguf")
    if fill != "zero":
        raise UsageError(f"fill {fill!r} does not exist for GGUF files: use --fill zero.")
    return Filling(located, block_of(located.entry.dtype)[2])


def _output_axis(layout: Layout, name: str, located: Located) -> int:
    """Which axis of a projection's matrix counts its output features.

    Axis 0 as `torch.nn.Linear` stores it, axis 1 where GPT-2 kinds store the transpose: told apart
    by the bias beside it, which those always have.
    """
    shape = located.entry.shape
    bias = layout.tensors.get(name.removesuffix("weight") + "bias")
    transposed = bias is not None and bias.entry.shape == shape[1:] and shape[0] != shape[1]
    return 1 if transposed else 0


def unknown_storage(
    layout: Layout, name: str, found: Mapping[str, Located], storage: str
) -> TaloError:
    """What to say of a parameter that is not stored, or in an unknown way."""
    if not found and name not in layout.tensors:
        return TaloError(
            f"{layout.directory} does not hold tensor {name!r}: its files are not complete."
        )
    shown = ", ".join(f"{part.lstrip('.')} ({found[part].entry.dtype})" for part in sorted(found))
    return TaloError(
        f"{name!r} is stored in a way that is not known here (quantisation {storage!r}, tensors "
        f"{shown or layout.tensors[name].entry.dtype}): export from the unquantised base."
    )
