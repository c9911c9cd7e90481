"""One codec for all that is written as JSON and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from talo_export.codec import Field, Hex, Recorded, derived, from_json, maybe
from talo_export.errors import TaloError
from talo_export.knockout import Knockout


@dataclass(frozen=True)
class Part:
    nbytes: Annotated[int, Field(alias="bytes", ge=0)]
    pattern: Hex = b""
    runs: Annotated[tuple[int, ...], maybe] = ()


@dataclass(frozen=True)
class Whole(Recorded):
    gain: float | None
    knockout: Knockout | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    interval: tuple[float, float] | None = None

    @derived
    def sentence(self) -> str:
        return f"gains {self.gain}"


WHOLE = Whole(0.1 + 0.2, Knockout(3), {"a": Part(4, b"\xff\x00", (0, 2)), "b": Part(0)}, (-1, 1e-7))


def test_what_is_written_is_read_back_equal() -> None:
    assert from_json(Whole, WHOLE.to_json(), "it") == WHOLE
    assert from_json(Whole, json.dumps(WHOLE.to_json()).encode(), "it") == WHOLE


@pytest.mark.parametrize("digits", [None, 7, "zz", ["ff"]])
def test_what_is_no_hexadecimal_is_refused_by_its_name(digits: object) -> None:
    document = WHOLE.to_json()
    document["parts"]["a"]["pattern"] = digits
    with pytest.raises(TaloError, match=r"parts\.a\.pattern is"):
        from_json(Whole, document, "it")


def test_keys_come_in_the_order_of_the_fields_with_derived_ones_last() -> None:
    document = WHOLE.to_json()
    assert list(document) == ["gain", "knockout", "parts", "interval", "sentence"]
    assert document["sentence"] == WHOLE.sentence == "gains 0.30000000000000004"
    assert document["parts"]["a"] == {"bytes": 4, "pattern": "ff00", "runs": [0, 2]}
    assert document["parts"]["b"] == {"bytes": 0, "pattern": ""}


@pytest.mark.parametrize("gain", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_written_as_null(gain: float) -> None:
    assert Whole(gain).to_json()["gain"] is None


def test_keys_of_other_versions_are_passed_over_and_absent_ones_take_their_default() -> None:
    assert from_json(Whole, {"gain": 1, "race": {"every": 5}}, "it") == Whole(1)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "it lacks the field 'gain'."),
        ({"gain": "1"}, "it is damaged: gain is '1', input should be a valid number."),
        (
            {"gain": 1, "parts": {"a": {"bytes": -1}}},
            "it is damaged: parts.a.bytes is '-1', input should be greater than or equal to 0.",
        ),
        (
            {"gain": 1, "parts": {"a": {"bytes": 1, "pattern": "zz"}}},
            "it is damaged: parts.a.pattern is 'zz', non-hexadecimal number found in fromhex() "
            "arg at position 0.",
        ),
        ("{", "it is not valid JSON (EOF while parsing an object at line 1 column 1)."),
    ],
)
def test_what_cannot_be_read_is_one_sentence_naming_the_key(
    document: object, sentence: str
) -> None:
    with pytest.raises(TaloError) as caught:
        from_json(Whole, document, "it")
    assert str(caught.value) == sentence
