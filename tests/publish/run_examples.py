"""Finished runs as a report shows them, made up."""

from __future__ import annotations

from functools import cache

from PIL import Image

from talo_export.publish.facts import MethodFacts, SideEffect
from talo_export.publish.report_facts import (
    CalibrationFacts,
    CaseFacts,
    CostFacts,
    LayerFacts,
    RunFacts,
    StabilityFacts,
    UnseenFacts,
    picture_uri,
)


def layers(n: int) -> tuple[LayerFacts, ...]:
    """Layer 0 hurts, the middle one helps, the others do this and that."""
    gains = [(-1) ** layer * (layer % 4) / 40 for layer in range(n)]
    gains[0], gains[n // 2] = -0.4, 0.2
    return tuple(
        LayerFacts(layer, 0.55 + gain, gain, gain * 3, gain / 2, 0, (gain - 0.1, gain + 0.1))
        for layer, gain in enumerate(gains)
    )


@cache
def case(number: int) -> CaseFacts:
    """An item with a picture that turned right (even numbers) or wrong."""
    right = number % 2 == 0
    return CaseFacts(
        item_id=f"maps/{number}",
        turned="right" if right else "wrong",
        question="Which of these states is farthest north?",
        choices=("West Virginia", "Louisiana", "Arizona", "Oklahoma"),
        right_answer="A. West Virginia",
        base_answer="C. Arizona" if right else "A. West Virginia",
        answer="A. West Virginia" if right else None,
        base_margin=-0.4,
        margin=1.1,
        pictures=(picture_uri(Image.new("RGB", (640, 400), "navy")),),
    )


def run(n_layers: int = 28, *, selected: int | None = -1) -> RunFacts:
    """A run in which everything was measured. `selected` defaults to the middle layer."""
    chosen = n_layers // 2 if selected == -1 else selected
    return RunFacts(
        model="/home/someone/models/Base-2B-with-a-rather-long-name",
        revision="a" * 40,
        task="maps",
        source="derek-thomas/ScienceQA, category Maps",
        scoring="generate",
        seed=0,
        chance=0.25,
        n_probe=20,
        base_accuracy=0.55,
        layers=layers(n_layers),
        selected=chosen,
        reason=f"Layer {chosen} gains most." if chosen is not None else "No layer gains.",
        n_items=200,
        unseen=None
        if chosen is None
        else UnseenFacts(180, 0.56, 0.61, 0.05, (0.01, 0.09), 0.012, "confirmed", 15, 6),
        calibration=CalibrationFacts(
            (0.25,) * 4,
            (0.5, 0.2, 0.2, 0.1),
            (0.3, 0.3, 0.2, 0.2),
            0.05,
            0.02,
            (-0.02, 0.06),
            "So.",
        ),
        stability=StabilityFacts(1000, 0.62, ((n_layers // 2, 0.62), (3, 0.2)), 0.18),
        side_effects=(SideEffect("math", 250, 0.40, 0.38), SideEffect("ocr", 39, 0.70, 0.72)),
        cases=tuple(case(number) for number in range(16)),
        comparison=(
            MethodFacts("base", 0.56),
            MethodFacts(
                "lora",
                0.58,
                12.5,
                2**31,
                99,
                2**22,
                accuracy_sd=0.02,
                ci95=(-0.01, 0.05),
                not_done="1 of 3 diverged",
            ),
            MethodFacts("dora", None, not_done="3 of 3 out of memory"),
        ),
        comparison_says=("At 20 shots lora is the most accurate.",),
        cost=CostFacts(12345, 23456, 20, 61.2, 2**31),
        commands=(("Run it again", "talo-export probe --model Owner/Base-2B --task maps"),),
    )
