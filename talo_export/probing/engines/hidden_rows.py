"""A decoder layer's hidden states among its arguments and in what it returns, by rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from talo_export.probing.engines.tensor_rows import spread_rows


def take_hidden(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """A layer's hidden states, apart from its other arguments."""
    if args:
        return args[0], args[1:], kwargs
    rest = dict(kwargs)
    return rest.pop("hidden_states"), (), rest


def row_axis_of(hidden: Tensor) -> int:
    # (rows, tokens, width), or (streams, rows, tokens, width).
    return hidden.dim() - 3


def with_rows(hidden: Tensor, rows: int) -> list[int]:
    shape = list(hidden.shape)
    shape[row_axis_of(hidden)] = rows
    return shape


def spread_output(output: Any, hidden: Tensor, count: int, places: Tensor) -> Any:
    """A layer's return value for all rows. The axis of its hidden states is where theirs were."""
    first, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
    spread = first.index_select(row_axis_of(hidden), places)
    return spread if rest is None else (spread, *spread_rows(rest, count, places))
