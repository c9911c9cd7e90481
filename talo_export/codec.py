"""One codec: a dataclass to JSON and back, by pydantic.

A field is written under its name, in the order of the fields, then what is `derived` from them.
Where the name in a file is another: `Annotated[int, Field(alias="bytes")]`. Read strictly: a text
is no number; unknown keys are passed over, absent ones take the field's default. NaN and the
infinities are written as null.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, ValidationError

from talo_export.errors import TaloError

if TYPE_CHECKING:
    from builtins import property as derived
else:
    from pydantic import computed_field as derived

__all__ = ["Count", "Field", "Hex", "Recorded", "derived", "from_json", "maybe", "to_json"]

T = TypeVar("T")


def _from_hex(digits: Any) -> bytes:
    if not isinstance(digits, str):
        raise ValueError("no hexadecimal digits")
    return bytes.fromhex(digits)


Hex = Annotated[bytes, BeforeValidator(_from_hex), PlainSerializer(bytes.hex)]
"""Bytes, written as hexadecimal digits."""

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)

Count = Annotated[int, Field(ge=0)]

maybe = Field(exclude_if=lambda value: not value and value != 0)
"""Of a field that is left out where it is None or empty: `Annotated[str | None, maybe] = None`."""


class Recorded:
    """A dataclass that is written as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The values of its document, plain."""
        return to_json(self)

    def _repr_html_(self) -> str | None:
        return None if _notebook is None else _notebook(self)


def shown_in_notebooks_by(as_html: Callable[[Recorded], str | None]) -> None:
    """From now on a notebook shows what `as_html` makes of a value; its `repr` where that is
    None."""
    global _notebook
    _notebook = as_html


_notebook: Callable[[Recorded], str | None] | None = None


def to_json(value: Any) -> Any:
    """The document of a dataclass: dicts, lists, texts and numbers, as `json.dumps` takes them."""
    return json.loads(_adapter(type(value)).dump_json(value, by_alias=True))


def from_json(kind: type[T], document: Any, where: str) -> T:
    """A `kind` from its document: text, bytes or plain values; `where` is what an error calls it.

    Raises `TaloError` naming the first key that is missing or wrong.
    """
    text = document if isinstance(document, (str, bytes)) else json.dumps(document)
    try:
        value: T = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise TaloError(_sentence(error, where)) from error
    return value


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "json_invalid":
        return f"{where} is not valid JSON ({first['ctx']['error']})."
    if first["type"] == "missing":
        return f"{where} lacks the field {key!r}."
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    return f"{where} is damaged: {key} is {str(first['input'])[:60]!r}, {reason}."
