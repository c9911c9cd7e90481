"""What a probe found: the document of `probe --json`, and the result in a run's manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from talo_export.codec import Recorded, from_json, maybe
from talo_export.evidence.analyses.answers import AnswerCalibration
from talo_export.evidence.analyses.side_effects import SideEffects
from talo_export.evidence.confirmation import Confirmation, Verdict
from talo_export.evidence.cross_validation import CrossValidated
from talo_export.evidence.finding import finding
from talo_export.evidence.layer_tests import LayerTests
from talo_export.evidence.power import NullResult, Power
from talo_export.evidence.selection import Selection
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.probing.cost import Cost
from talo_export.probing.settings import Kind
from talo_export.runs.example import Example


@dataclass(frozen=True)
class Evidence:
    """What the scores mean beyond the confirmation. Parts that do not apply are None."""

    power: Power | None = None
    layer_tests: LayerTests | None = None
    null: NullResult | None = None
    cross_validation: CrossValidated | None = None
    calibration: AnswerCalibration | None = None


def sentence(part: Power | NullResult | CrossValidated | AnswerCalibration) -> str:
    """What a part of the evidence says of the result, with its full stop."""
    return f"{part.sentence.removesuffix('.')}."


@dataclass(frozen=True)
class LayerConfirmation(Confirmation):
    """What unseen items say of a layer that was chosen: the only numbers a card may claim."""

    base_accuracy: float
    accuracy: float
    gain: float
    ci95: tuple[float, float]
    p_value: float
    calibrated_gain: float | None = None
    """What is left of the gain once each answer's prior is corrected in base and knockout."""


@dataclass(frozen=True)
class Proof:
    """A checkpoint held against its plan, and a stock process's answers against the probe's."""

    tensors_filled: int
    tensors_identical: int
    answers: int
    answers_equal: int
    answers_within_rounding: int


@dataclass(frozen=True)
class RunCost(Cost):
    """The work of a whole run."""

    threads: int | None = None
    """Sums are rounded in another order with another number: the last bits of scores."""

    @classmethod
    def of(cls, cost: Cost, threads: int) -> RunCost:
        return cls(**asdict(cost), threads=threads)


@dataclass(frozen=True)
class ProbeResult(Recorded):
    """One model on one task: every layer's gain, the layer chosen, and what unseen items say."""

    model: str
    revision: str | None
    task: str
    task_source: str
    task_items: int
    data: Path | None
    chance: float
    scoring: Kind
    seed: int
    shots: int | None
    """None: every item was probed and none is left to confirm."""
    layers: int
    fill: Fill
    scope: Scope
    probe: Selection
    too_long: tuple[str, ...]
    """Ids of items left out."""
    selected_layer: int | None
    confirm: Confirmation | None
    checkpoint: Path | None
    proof: Proof | None
    run: Path
    command: str
    """The line that gives this run again."""
    cost: RunCost
    evidence: Annotated[Evidence | None, maybe] = None
    dtype: Annotated[str | None, maybe] = None
    """The number format it was computed in; None where an earlier version did not say."""
    side_effects: Annotated[SideEffects | None, maybe] = None
    """What the knockout does to other tasks, once that was measured."""
    example: Annotated[Example | None, maybe] = None
    auto_class: Annotated[str | None, maybe] = None
    """The transformers class that loads base and checkpoint."""
    next_command: Annotated[str | None, maybe] = None
    """The line worth trying where no gain was confirmed."""

    @property
    def finding(self) -> str:
        """What the run says, in one sentence without its full stop."""
        if self.confirm is None:
            return "Every item was probed: no layer was selected, nothing is confirmed"
        says = finding(self.probe, self.confirm)
        return f"{says}: confirmed" if self.verdict == "confirmed" else says

    @property
    def knockout(self) -> Knockout | None:
        """The selected one; None where the base is kept, or nothing was to be selected."""
        if self.selected_layer is None:
            return None
        return Knockout(self.selected_layer, self.scope, self.fill)

    @property
    def verdict(self) -> Verdict | None:
        """None where nothing was to be selected."""
        return None if self.confirm is None else self.confirm.verdict

    @property
    def confirmation(self) -> LayerConfirmation | None:
        """Of the selected layer; None where there is none, or no item was left for it."""
        if self.confirm is None or self.confirm.gain is None:
            return None
        calibration = None if self.evidence is None else self.evidence.calibration
        measured = {field.name: getattr(self.confirm, field.name) for field in fields(Confirmation)}
        left = None if calibration is None else calibration.calibrated.gain
        return LayerConfirmation(**measured, calibrated_gain=left)

    def vector(self) -> dict[str, object]:
        """The task-layer interaction vector by itself, for analyses: the run's `vector.json`."""
        document = self.to_json()
        keys = ("model", "revision", "task", "scoring", "seed", "layers", "scope", "fill")
        measured = ("n", "base_accuracy", "gains", "margin_gains", "probability_gains")
        return {key: document[key] for key in keys} | {
            key: document["probe"][key] for key in measured
        }


def read_result(document: object, where: str) -> ProbeResult:
    """The result in a run's manifest. Raises TaloError naming what is missing or wrong."""
    result = from_json(ProbeResult, document, where)
    confirm = result.confirm and replace(result.confirm, knockout=result.knockout)
    probe = replace(result.probe, knockout=result.knockout)
    return replace(result, probe=probe, confirm=confirm)
