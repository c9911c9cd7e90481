"""Which tensors of two checkpoints differ, by layer and module: for any two, not only ours.

Tensors are matched by name, whatever shard they lie in, and compared byte by byte, streamed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from talo_export.checkpoint.layout import Layout, Located, read_layout
from talo_export.checkpoint.ranges import all_zero, same_bytes, zeroed
from talo_export.codec import Recorded
from talo_export.reporting import SILENT, Reporter

Change = Literal["values", "shape", "dtype", "only in a", "only in b"]

_NUMBERED = re.compile(r"^(?P<stack>.*?)\.(?P<layer>\d+)\.(?P<module>.+)$")


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """One tensor that is not the same in both. `stack` and `layer` are None outside any list."""

    tensor: str
    change: Change
    stack: str | None
    layer: int | None
    module: str
    """The rest of the name, without the parameter's own."""
    dtype: str
    shape: tuple[int, ...]
    zero_in_b: bool
    """Every byte of it is zero in b and not in a: what a knockout does."""
    zero_in_a: bool = False
    """The other way round: b is the base of a, or another layer was cut."""
    zeroed_in_b: int = 0
    """How many elements differ where those are zero in b and the others are the same: what cutting
    heads does."""
    zeroed_in_a: int = 0


@dataclass(frozen=True)
class CheckpointDiff(Recorded):
    """The differences of two checkpoints, in the order of their layers."""

    a: Path
    b: Path
    identical: int
    differences: tuple[TensorDifference, ...]

    def by_module(self) -> dict[tuple[str, int, str], tuple[TensorDifference, ...]]:
        """Differences grouped by (stack, layer, module); layer -1 and stack '' outside any list."""
        groups: dict[tuple[str, int, str], tuple[TensorDifference, ...]] = {}
        for difference in self.differences:
            layer = -1 if difference.layer is None else difference.layer
            key = (difference.stack or "", layer, difference.module)
            groups[key] = (*groups.get(key, ()), difference)
        return groups


def diff_checkpoints(a: Path, b: Path, reporter: Reporter = SILENT) -> CheckpointDiff:
    """Compare two checkpoint directories, or `.gguf` files.

    Reports the bytes of `b` looked at. Raises `TaloError` where one is unsound.
    """
    left, right = read_layout(a), read_layout(b)
    pairs = [(left, right)]
    if left.twin or right.twin:
        # Engines disagree which copy they load, so a tensor is the same only where both are.
        pairs.append((left.twin or left, right.twin or right))
    differences: list[TensorDifference] = []
    identical = done = 0
    total = sum(located.entry.nbytes for located in right.tensors.values())
    advance = reporter.phase("comparing", total, "bytes")
    for name in sorted({*left.tensors, *right.tensors}, key=_natural):
        advance(done)
        done += right.tensors[name].entry.nbytes if name in right.tensors else 0
        changes = [change for pair in pairs if (change := _compare(*pair, name)) is not None]
        differences += changes[:1]
        identical += not changes
    return CheckpointDiff(a, b, identical, tuple(differences))


def _compare(left: Layout, right: Layout, name: str) -> TensorDifference | None:
    """How a tensor differs, None where it does not."""
    one, other = left.tensors.get(name), right.tensors.get(name)
    if one is None or other is None:
        present = one or other
        assert present is not None
        return _difference(present, "only in a" if other is None else "only in b")
    if one.entry.dtype != other.entry.dtype:
        return _difference(other, "dtype")
    if one.entry.shape != other.entry.shape:
        return _difference(other, "shape")
    source, target = left.source(one.file), right.source(other.file)
    if source.samefile(target) or same_bytes(source, one.entry, target, other.entry):
        return None
    zero_in_b = all_zero(target, other.entry)
    zero_in_a = not zero_in_b and all_zero(source, one.entry)
    part_of_b = part_of_a = 0
    if not (zero_in_b or zero_in_a):
        part_of_b = zeroed(target, other.entry, source, one.entry)
        part_of_a = 0 if part_of_b else zeroed(source, one.entry, target, other.entry)
    return _difference(other, "values", zero_in_b, zero_in_a, part_of_b, part_of_a)


def _difference(
    located: Located,
    change: Change,
    zero_in_b: bool = False,
    zero_in_a: bool = False,
    zeroed_in_b: int = 0,
    zeroed_in_a: int = 0,
) -> TensorDifference:
    entry = located.entry
    numbered = _NUMBERED.match(entry.name)
    module = (numbered["module"] if numbered else entry.name).rpartition(".")[0]
    return TensorDifference(
        tensor=entry.name,
        change=change,
        stack=numbered["stack"] if numbered else None,
        layer=int(numbered["layer"]) if numbered else None,
        module=module or entry.name,
        dtype=entry.dtype,
        shape=entry.shape,
        zero_in_b=zero_in_b,
        zero_in_a=zero_in_a,
        zeroed_in_b=zeroed_in_b,
        zeroed_in_a=zeroed_in_a,
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Layer 10 after layer 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
