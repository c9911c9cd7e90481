"""Fills of stored tensors that loading splits, joins or turns.

`uniform` and `mean` are numbers of the parameters that the model computes with. Here they are put
where loading will take each of them from; `conversions.py` says where that is.
"""

from __future__ import annotations

from collections.abc import Sequence

from talo_export.checkpoint import fills
from talo_export.checkpoint.layout import Layout
from talo_export.errors import UsageError
from talo_export.knockout import Fill
from talo_export.models.anatomy import Altered, Piece


def moved_pattern(
    layout: Layout, name: str, fill: Fill, altered: Sequence[Altered]
) -> tuple[bytes, tuple[int, ...]]:
    """`pattern` and `runs` of the edit of the stored tensor `name`.

    `altered` are all tensors of the layer that loading moves about: a parameter may be made of
    several. Raises `UsageError` where it is not known how, or the tensor has another size.
    """
    pieces = next(one.pieces for one in altered if one.name == name)
    entry = layout.tensors[name].entry
    if not pieces or entry.elements % sum(piece.elements for piece in pieces):
        raise UsageError(
            f"{name} is stored in another form than the model computes with, in which fill "
            f"{fill!r} would be another one: use --fill zero."
        )
    values = [_value(layout, piece, fill, altered) for piece in pieces]
    pattern = b"".join(fills.encode(value, entry.dtype) for value in values)
    if len(pieces) == 1:
        return pattern, ()
    width = len(pattern) // len(pieces)
    return pattern, tuple(piece.elements * width for piece in pieces)


def _value(layout: Layout, piece: Piece, fill: Fill, altered: Sequence[Altered]) -> float:
    """The number that fills a piece's parameter."""
    if fill == "uniform":
        return 0.0 if piece.d_out is None else 1 / piece.d_out
    total, count = 0.0, 0
    for one in altered:
        mine = [each.parameter == piece.parameter for each in one.pieces]
        if any(mine):
            located = layout.tensors[one.name]
            lengths = [each.elements for each in one.pieces]
            found = fills.sum_of_runs(layout.source(located.file), located.entry, lengths, mine)
            total, count = total + found[0], count + found[1]
    return fills.checked_mean(total, count, piece.parameter)
