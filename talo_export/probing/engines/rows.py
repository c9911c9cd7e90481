"""Rows of the batch inside whatever a model passes from layer to layer.

During a shared pass the batch has a number of rows that no other dimension of the model has
(`distinct_row_count`), so the axis of the rows shows in a tensor's shape: the first one, or the
second one where a few streams or kinds of position come first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor


def row_axis(tensor: Tensor, rows: int) -> int | None:
    """The axis that holds the batch's rows, None where the tensor serves all rows alike."""
    shape = tensor.shape
    if len(shape) and shape[0] == rows:
        return 0
    if len(shape) > 2 and shape[0] != 1 and shape[1] == rows:
        return 1
    return None


def distinct_row_count(wanted: int, taken: Collection[int]) -> int:
    """The smallest number of rows from `wanted` on that is no other dimension."""
    count = wanted
    while count in taken:
        count += 1
    return count


def dimensions(value: Any) -> set[int]:
    """Every size that occurs among the tensors inside a value."""
    sizes: set[int] = set()

    def see(tensor: Tensor) -> Tensor:
        sizes.update(tensor.shape)
        return tensor

    map_tensors(value, see)
    return sizes


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with every tensor changed. Objects of other kinds pass as they are."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, MutableMapping):
        changed = {key: map_tensors(inner, change) for key, inner in value.items()}
        # Model outputs are data classes; shared key/value stores are mappings of their own type.
        kind: Any = type(value)
        return kind(**changed) if is_dataclass(value) else kind(changed)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(inner, change) for inner in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(inner, change) for inner in value)
    return value


def narrow_rows(value: Any, rows: int, active: range) -> Any:
    """The `active` rows of everything that has `rows` rows, as views."""

    def narrow(tensor: Tensor) -> Tensor:
        axis = row_axis(tensor, rows)
        return tensor if axis is None else tensor.narrow(axis, active.start, len(active))

    return map_tensors(value, narrow)


def spread_rows(value: Any, count: int, index: Tensor) -> Any:
    """From `count` rows, first axis, to `len(index)`: row i becomes a copy of row `index[i]`."""

    def spread(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != count:
            return tensor
        return tensor.index_select(0, index.to(tensor.device))

    return map_tensors(value, spread)


def expand_single(value: Any, rows: int, width: int) -> Any:
    """From a batch of one item to `rows` rows of it, without copying.

    Tensors of one row are expanded; tokens laid end to end without a batch axis, (tokens, width),
    are repeated; the rest (a vector of positions) serves all rows.
    """

    def expand(tensor: Tensor) -> Tensor:
        shape = tensor.shape
        if len(shape) > 1 and shape[0] == 1:
            return tensor.expand(rows, *shape[1:])
        if len(shape) > 2 and shape[1] == 1:
            return tensor.expand(shape[0], rows, *shape[2:])
        if len(shape) == 2 and shape[1] == width and tensor.is_floating_point():
            return tensor.repeat(rows, 1)
        return tensor

    return map_tensors(value, expand)


def changed_entries(after: Mapping[Any, Any], before: Mapping[Any, Any]) -> dict[Any, Any]:
    """Entries of `after` that `before` lacks or holds as another object."""
    return {key: value for key, value in after.items() if before.get(key) is not value}


def places_of(active: range, rows: int, device: torch.device) -> Tensor:
    """For each of `rows` rows the place, among the active ones, of the row it equals.

    A row that has not joined yet equals the first active one, which is then the trunk.
    """
    return torch.tensor(
        [row - active.start if row in active else 0 for row in range(rows)], device=device
    )


def take_hidden(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """A decoder layer's hidden states, apart from its other arguments."""
    if args:
        return args[0], args[1:], kwargs
    rest = dict(kwargs)
    return rest.pop("hidden_states"), (), rest


def hidden_row_axis(hidden: Tensor) -> int:
    """Hidden states are (rows, tokens, width), or (streams, rows, tokens, width)."""
    return hidden.dim() - 3


def expand_hidden(row: Tensor, rows: int) -> Tensor:
    """Hidden states of one row as `rows` equal ones, without copying."""
    shape = list(row.shape)
    shape[hidden_row_axis(row)] = rows
    return row.expand(*shape)


def spread_output(output: Any, hidden: Tensor, count: int, places: Tensor) -> Any:
    """A layer's return value for all rows. The axis of its hidden states is where theirs were."""
    first, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
    spread = first.index_select(hidden_row_axis(hidden), places)
    return spread if rest is None else (spread, *spread_rows(rest, count, places))
