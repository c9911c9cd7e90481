"""Finished runs as a report shows them, made up."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from typing import Any

from PIL import Image
from results import comparison, probe_result

from talo_export.evidence.analyses.cases import Case, Cases
from talo_export.evidence.analyses.stability import Stability
from talo_export.publish.report import RunPage
from talo_export.tasks.item import Item, ItemImage


@cache
def picture() -> ItemImage:
    """A large blue rectangle."""
    content = io.BytesIO()
    Image.new("RGB", (640, 400), "navy").save(content, "PNG")
    return ItemImage("map.png", data=content.getvalue())


def item(number: int, **changes: Any) -> Item:
    """An item with a picture."""
    usual = Item(
        id=f"maps/{number}",
        group=f"g{number}",
        question="Which of these states is farthest north?",
        choices=("West Virginia", "Louisiana", "Arizona", "Oklahoma"),
        answer=0,
        images=(picture(),),
    )
    return replace(usual, **changes)


def case(number: int, **changes: Any) -> Case:
    """An item that turned right (even numbers) or wrong."""
    right = number % 2 == 0
    usual = Case(
        item_id=f"maps/{number}",
        base_answer="C. Arizona" if right else "A. West Virginia",
        answer="A. West Virginia" if right else None,
        base_margin=-0.4,
        margin=1.1,
    )
    return replace(usual, **changes)


def run(n_layers: int = 28, **changes: Any) -> RunPage:
    """A run in which everything was measured. `changes` are fields of its result."""
    result = probe_result(n_layers, **changes)
    chosen = result.selected_layer
    shares = {n_layers // 2: 0.62, 3: 0.2}
    return RunPage(
        result=result,
        intervals={
            layer: (gain - 0.1, gain + 0.1)
            for layer, gain in enumerate(result.probe.gains)
            if gain is not None
        },
        stability=Stability(
            n=20,
            criterion="accuracy",
            runs=1000,
            layer=chosen,
            shares={layer: shares.get(layer, 0.0) for layer in range(n_layers)},
            kept_base=0.18,
            by_shots=(),
        ),
        cases=None
        if chosen is None
        else Cases(
            chosen,
            180,
            tuple(case(number) for number in range(0, 22, 2)),
            tuple(case(number) for number in range(1, 11, 2)),
        ),
        items={f"maps/{number}": item(number) for number in range(22)},
        comparison=comparison(),
    )
