"""Pictures that a task's own function makes of a document, as lmms-eval's YAMLs have it.

The function is given the document with its pictures opened and returns a list of them. Only its
count is kept: a picture is made again when it is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from typing import Any

from talo_export.tasks.item import ItemImage
from talo_export.tasks.lm_eval_yaml import Function
from talo_export.tasks.problems import FieldError
from talo_export.tasks.rows import Row
from talo_export.tasks.split_files import SplitFiles

KEY = "doc_to_visual"


def picture_columns(split: SplitFiles) -> tuple[str, ...]:
    """Columns of a split that hold pictures, one or a list of them, by its files' schema."""
    import datasets
    import pyarrow.parquet as pq

    schema = pq.read_schema(split.files[0])
    features = datasets.Features.from_arrow_schema(schema)
    return tuple(
        name
        for name, feature in features.items()
        if isinstance(feature, datasets.Image)
        or isinstance(getattr(feature, "feature", None), datasets.Image)
    )


def open_pictures(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The document as its authors' code knows it: pictures decoded, a single one not in a list."""

    def opened(value: Any) -> Any:
        if not isinstance(value, tuple) or not all(isinstance(v, ItemImage) for v in value):
            return value
        pictures = [image.open() for image in value]
        return pictures[0] if len(pictures) == 1 else pictures or None

    return {name: opened(value) for name, value in fields.items()}


def made_pictures(function: Function, row: Row, source: str) -> tuple[ItemImage, ...]:
    """The pictures of one document. Raises: FieldError where the function makes none of it."""
    return tuple(
        ItemImage(
            name=f"{source}, {row.where}, picture {number + 1}",
            fetch=partial(_made, function, row, number),
        )
        for number in range(len(_pictures(function, row)))
    )


def _pictures(function: Function, row: Row) -> list[Any]:
    made = function.call(KEY, open_pictures(row.fields))
    if not isinstance(made, (list, tuple)) or not all(hasattr(one, "save") for one in made):
        raise FieldError(KEY, f"{function.name} gives {made!r:.40}, no list of pictures")
    return list(made)


def _made(function: Function, row: Row, number: int) -> bytes:
    buffer = io.BytesIO()
    _pictures(function, row)[number].save(buffer, "PNG")
    return buffer.getvalue()
