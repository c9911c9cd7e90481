"""Arrays in results: written as nested lists, null where not measured; and how alike rows are."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import GetPydanticSchema
from pydantic_core import core_schema

Array: TypeAlias = NDArray[np.float64]

_LISTS = core_schema.no_info_plain_validator_function(
    np.asarray, serialization=core_schema.plain_serializer_function_ser_schema(np.ndarray.tolist)
)
_WRITTEN = GetPydanticSchema(lambda kind, handler: _LISTS)

Grid: TypeAlias = Annotated[Array, _WRITTEN]
Counts: TypeAlias = Annotated[NDArray[np.int64], _WRITTEN]


def correlation(rows: Array) -> Array:
    """(R, R) Pearson correlation of (R, N) rows; 0 with a row that never varies, 1 with itself."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    unit = centred / np.where(length > 1e-12, length, 1.0)[:, None]
    product: Array = unit @ unit.T
    np.fill_diagonal(product, 1.0)
    return product
