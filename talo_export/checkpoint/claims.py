"""Whether the numbers that a manifest states can all be true.

They are what a card shows and what lets an export be published, so a manifest whose verdict does
not follow from its own interval, or whose gain is not the difference of its accuracies, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from talo_export.checkpoint.manifest import Manifest
from talo_export.evidence.confirmation import verdict_of

EXACT = 1e-6
"""Numbers are stored unrounded; this forgives sums of floats in another order."""
ROUNDED = 0.005
"""Of a share that someone wrote down in percent."""


def contradictions(manifest: Manifest) -> tuple[str, ...]:
    """What of selection and confirmation cannot be, a phrase each."""
    try:
        return (*_of_selection(manifest), *_of_confirmation(manifest.confirmation))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        return (f"its selection or confirmation is damaged ({type(error).__name__}: {error})",)


def _of_selection(manifest: Manifest) -> Iterator[str]:
    selection: Mapping[str, Any] | None = manifest.selection
    if selection is None:
        return
    gains, accuracies = selection["gains"], selection["accuracy"]
    if not len(gains) == len(accuracies) > manifest.knockout.layers[-1]:
        yield f"its selection has {len(gains)} layers"
    if len(selection["ids"]) != selection["n"]:
        yield f"its selection names {len(selection['ids'])} items and counts {selection['n']}"
    if not all(
        _equal(gain, accuracy - selection["base_accuracy"])
        for gain, accuracy in zip(gains, accuracies, strict=True)
    ):
        yield "a gain of its selection is not the difference of its accuracies"


def _of_confirmation(confirmation: Mapping[str, Any] | None) -> Iterator[str]:
    if confirmation is None:
        return
    n, gain, verdict = confirmation["n"], confirmation["gain"], confirmation["verdict"]
    base, accuracy = confirmation["base_accuracy"], confirmation["accuracy"]
    low, high = confirmation["ci95"]
    if not n >= 1 or not all(_is_share(share, n) for share in (base, accuracy)):
        yield f"its accuracies {base} and {accuracy} are none of {n} items"
    if not _equal(gain, accuracy - base):
        yield f"its gain {gain} is not the difference of its accuracies {accuracy} and {base}"
    if not low <= gain <= high:
        yield f"its gain {gain} lies outside its interval {low} to {high}"
    if not 0 <= confirmation["p_value"] <= 1:
        yield f"its p-value {confirmation['p_value']} is none"
    if verdict != verdict_of((low, high)):
        yield f"its verdict is {verdict!r} where its interval is {low} to {high}"


def _equal(left: float, right: float) -> bool:
    return math.isclose(left, right, abs_tol=EXACT)


def _is_share(share: float, n: int) -> bool:
    """Whether some number of `n` items is this share of them."""
    return 0 <= share <= 1 and math.isclose(share, round(share * n) / n, abs_tol=ROUNDED)
