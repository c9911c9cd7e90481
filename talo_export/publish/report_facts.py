"""What a report page shows, as plain values, and how they come out of a run's `probe --json`.

The page is a pure function of these. Accuracies, gains and shares are fractions.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image

from talo_export.publish.facts import MethodFacts, SideEffect


@dataclass(frozen=True)
class LayerFacts:
    """What knocking out one layer did on the probing items."""

    layer: int
    accuracy: float
    gain: float
    margin_gain: float | None = None
    probability_gain: float | None = None
    unparsed: int | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class UnseenFacts:
    """The chosen layer on items never probed. `verdict` as in `probe --json`."""

    n: int
    base_accuracy: float
    accuracy: float
    gain: float
    ci95: tuple[float, float]
    p_value: float
    verdict: str
    turned_right: int | None = None
    turned_wrong: int | None = None


@dataclass(frozen=True)
class StabilityFacts:
    """How often each layer is chosen when the probing items are resampled `runs` times."""

    runs: int
    same: float
    shares: tuple[tuple[int, float], ...]
    kept_base: float


@dataclass(frozen=True)
class CalibrationFacts:
    """Is it the layer or the letter: shares of A, B, ... and the gain with priors corrected."""

    gold: tuple[float, ...]
    base: tuple[float, ...]
    knockout: tuple[float, ...]
    raw_gain: float
    calibrated_gain: float
    calibrated_ci95: tuple[float, float] | None
    sentence: str


@dataclass(frozen=True)
class CaseFacts:
    """One item whose answer turned. `pictures` are data URIs."""

    item_id: str
    turned: Literal["right", "wrong"]
    question: str
    choices: tuple[str, ...]
    right_answer: str
    base_answer: str | None
    answer: str | None
    base_margin: float | None = None
    margin: float | None = None
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class CostFacts:
    """What the run took."""

    layer_evaluations: int
    layer_evaluations_naive: int
    vision_evaluations: int
    seconds: float
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class RunFacts:
    """One run: one model, one task. What was not measured is None or empty, and said to be so."""

    model: str
    revision: str | None
    task: str
    source: str
    scoring: str
    seed: int
    chance: float
    n_probe: int
    base_accuracy: float
    layers: tuple[LayerFacts, ...]
    selected: int | None
    reason: str
    n_items: int | None = None
    scope: str = "attention"
    fill: str = "zero"
    unseen: UnseenFacts | None = None
    calibration: CalibrationFacts | None = None
    stability: StabilityFacts | None = None
    side_effects: tuple[SideEffect, ...] | None = None
    side_effects_sentence: str | None = None
    p_gains: Mapping[int, float] = field(default_factory=dict)
    """Layer -> one-sided p-value of its gain on the probing items, corrected over all layers."""
    meanings: tuple[str, ...] = ()
    """What else the scores say, a sentence each: power, cross-validation."""
    cases: tuple[CaseFacts, ...] = ()
    comparison: tuple[MethodFacts, ...] = ()
    comparison_says: tuple[str, ...] = ()
    """Who is ahead, and from how many shots on, in sentences."""
    cost: CostFacts | None = None
    commands: tuple[tuple[str, str], ...] = ()
    """(what it does, command line)."""


@dataclass(frozen=True)
class ReportFacts:
    """A page: one run or several, and what made them."""

    runs: tuple[RunFacts, ...]
    versions: tuple[tuple[str, str], ...] = ()
    date: str | None = None


def run_facts(document: Mapping[str, Any]) -> RunFacts:
    """The facts in a run's result (`probe --json`). Analyses are added with `replace`."""
    probe, cost = document["probe"], document["cost"]
    lines = [("Run it again", document["command"])]
    if document.get("checkpoint"):
        lines.append(("Check the export", f"talo-export verify {document['checkpoint']}"))
        lines.append(("Publish it", f"talo-export push {document['checkpoint']} OWNER/NAME"))
    return RunFacts(
        model=document["model"],
        revision=document["revision"],
        task=document["task"],
        source=document["task_source"],
        scoring=document["scoring"],
        seed=document["seed"],
        chance=document["chance"],
        n_probe=probe["n"],
        base_accuracy=probe["base_accuracy"],
        layers=_layers(probe),
        selected=document["selected_layer"],
        reason=probe["reason"],
        n_items=document["task_items"],
        scope=document["scope"],
        fill=document["fill"],
        unseen=_unseen(document["confirm"]),
        cost=CostFacts(
            layer_evaluations=cost["layer_evaluations"],
            layer_evaluations_naive=cost["layer_evaluations_naive"],
            vision_evaluations=cost["vision_evaluations"],
            seconds=cost["seconds"],
            peak_memory_bytes=cost["peak_memory_bytes"] or None,
        ),
        commands=tuple(lines),
    )


def _layers(probe: Mapping[str, Any]) -> tuple[LayerFacts, ...]:
    def at(key: str, layer: int) -> Any:
        return None if probe.get(key) is None else probe[key][layer]

    return tuple(
        LayerFacts(
            layer=layer,
            accuracy=probe["accuracy"][layer],
            gain=gain,
            margin_gain=at("margin_gains", layer),
            probability_gain=at("probability_gains", layer),
            unparsed=at("unparsed", layer),
        )
        for layer, gain in enumerate(probe["gains"])
        if gain is not None
    )


def _unseen(confirm: Mapping[str, Any] | None) -> UnseenFacts | None:
    if confirm is None or confirm["gain"] is None:
        return None
    return UnseenFacts(
        n=confirm["n"],
        base_accuracy=confirm["base_accuracy"],
        accuracy=confirm["accuracy"],
        gain=confirm["gain"],
        ci95=(confirm["ci95"][0], confirm["ci95"][1]),
        p_value=confirm["p_value"],
        verdict=confirm["verdict"],
        turned_right=confirm.get("turned_right"),
        turned_wrong=confirm.get("turned_wrong"),
    )


def picture_uri(picture: Image.Image, *, longest_side: int = 320) -> str:
    """A picture small enough to stand in the page, as a PNG data URI."""
    small = picture.copy()
    small.thumbnail((longest_side, longest_side))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
