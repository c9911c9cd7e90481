"""Results of probes and what exports keep of them, made up: every part known, each replaceable."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from talo_export.baselines.summary import Row
from talo_export.baselines.verdict import Verdict
from talo_export.checkpoint.manifest import FileRecord, Manifest
from talo_export.checkpoint.plan import Edit
from talo_export.evidence.analyses.answers import AnswerCalibration, AnswerShares, PairedGain
from talo_export.evidence.analyses.side_effects import SideEffects
from talo_export.evidence.confirmation import Confirmation
from talo_export.evidence.layer_tests import LayerTest, LayerTests
from talo_export.evidence.selection import Selection
from talo_export.knockout import Knockout
from talo_export.publish.base_card import BaseCard
from talo_export.publish.subject import Subject
from talo_export.runs.comparison import Compared, Comparison
from talo_export.runs.record import BaseRecord, Record, TaskRecord
from talo_export.runs.result import Evidence, LayerConfirmation, ProbeResult, RunCost

CONFIRMED = LayerConfirmation(
    n=180,
    base_accuracy=0.56,
    accuracy=0.61,
    gain=0.05,
    ci95=(0.01, 0.09),
    p_value=0.012,
    verdict="confirmed",
    level=0.95,
    groups=150,
    turned_right=15,
    turned_wrong=6,
)
CONSTANT = replace(
    CONFIRMED, base_accuracy=0.0, accuracy=0.25, gain=0.25, ci95=(0.19, 0.32), turned_right=45,
    turned_wrong=0, turned_right_unread=45, constant_accuracy=0.25,
)  # fmt: skip
NOTHING = Confirmation(
    n=0,
    base_accuracy=None,
    accuracy=None,
    gain=None,
    ci95=None,
    p_value=None,
    verdict="keep the base",
    level=0.95,
    groups=0,
)


def effect(n: int, before: float, after: float) -> Confirmation:
    gain = after - before
    return Confirmation(
        n=n,
        base_accuracy=before,
        accuracy=after,
        gain=gain,
        ci95=(gain - 0.05, gain + 0.05),
        p_value=0.5,
        verdict="unconfirmed",
        level=0.95,
        groups=n,
    )


EFFECTS = SideEffects(
    layer=12,
    own_task="maps",
    macro_base_accuracy=0.55,
    macro_gain=0.0,
    macro_ci95=(-0.03, 0.03),
    micro_gain=-0.01,
    better=(),
    worse=(),
    tasks={"math": effect(250, 0.40, 0.38), "ocr": effect(39, 0.70, 0.72)},
)


def row(method: str, accuracy: float | None, **changes: Any) -> Row:
    """A method of a comparison. `changes` are fields."""
    known: dict[str, Any] = {field.name: None for field in fields(Row)} | {
        "shots": 0,
        "seeds": 1,
        "trainable_parameters": 0,
        "forward_passes": 0,
        "backward_passes": 0,
        "artifact_bytes": 0,
        "statuses": {"done": 1},
        "layers": (),
        "notes": (),
    }
    return Row(**known | {"method": method, "accuracy": accuracy} | changes)


METHODS = (
    row("base", 0.56),
    row(
        "lora",
        0.58,
        accuracy_sd=0.02,
        gain_ci95=(-0.01, 0.05),
        seconds=123.4,
        peak_memory_bytes=5 * 2**30,
        trainable_parameters=99,
        artifact_bytes=2**22,
        statuses={"done": 2, "diverged": 1},
        not_done="1 of 3 diverged",
    ),
    row("dora", None, not_done="3 of 3 out of memory"),
)
VERDICT = Verdict(
    shots=20,
    best="lora",
    level=(),
    accuracy=0.58,
    base_accuracy=0.56,
    rival="base",
    lead=None,
    lead_ci95=None,
)
COMPARED = Compared(180, METHODS, (VERDICT,))


def comparison(**changes: Any) -> Comparison:
    """A whole comparison. `changes` are fields."""
    from talo_export.baselines.settings import Training

    known: dict[str, Any] = {
        "task": "maps",
        "model": "Owner/Base-2B",
        "scoring": "generate",
        "test_n": 180,
        "chance": 0.25,
        "methods": METHODS,
        "verdicts": (VERDICT,),
        "break_even": (),
        "summary": VERDICT.sentence,
        "training": Training(),
        "load_in_4bit": False,
        "run": Path("runs/maps.compare"),
        "csv": Path("runs/maps.compare/compare.csv"),
        "figure": None,
    }
    return Comparison(**known | changes)


def selection(gains: tuple[float | None, ...], **changes: Any) -> Selection:
    """What 20 probing items said of each layer."""
    known: dict[str, Any] = {
        "n": 20,
        "base_accuracy": 0.55,
        "accuracy": tuple(None if gain is None else 0.55 + gain for gain in gains),
        "gains": gains,
        "margin_gains": tuple(None if gain is None else 3 * gain for gain in gains),
        "probability_gains": tuple(None if gain is None else gain / 2 for gain in gains),
        "unparsed": (0,) * len(gains),
        "non_finite": (0,) * len(gains),
        "criterion": "accuracy",
        "min_gain": None,
        "reason": "Layer 14 gains most.",
        "ids": tuple(f"maps/{number}" for number in range(20)),
    }
    return Selection(**known | changes)


def layer_gains(n: int) -> tuple[float, ...]:
    """Layer 0 hurts, the middle one helps, the others do this and that."""
    gains = [(-1) ** layer * (layer % 4) / 40 for layer in range(n)]
    gains[0], gains[n // 2] = -0.4, 0.2
    return tuple(gains)


CALIBRATION = AnswerCalibration(
    layer=14,
    n=180,
    distribution=AnswerShares((0.25,) * 4, (0.5, 0.2, 0.2, 0.1), (0.3, 0.3, 0.2, 0.2)),
    raw=PairedGain(0.56, 0.61, 0.05, (0.01, 0.09), 0.012),
    calibrated=PairedGain(0.6, 0.62, 0.02, (-0.02, 0.06), 0.3),
    fate="shrinks",
)


def probe_result(n_layers: int = 28, **changes: Any) -> ProbeResult:
    """A finished run in which everything was measured. `changes` are fields.

    The middle layer is selected, unless `selected_layer` says otherwise.
    """
    chosen = changes.pop("selected_layer", n_layers // 2)
    gains = layer_gains(n_layers)
    tests = tuple(LayerTest(i, gain, 0.4, 0.8, (gain - 0.2, gain + 0.2)) for i, gain in
                  enumerate(gains))  # fmt: skip
    reason = "No layer gains." if chosen is None else f"Layer {chosen} gains most."
    confirm = {
        field.name: getattr(CONFIRMED, field.name)
        for field in fields(Confirmation)
    }  # fmt: skip
    known: dict[str, Any] = {
        "model": "/home/someone/models/Base-2B-with-a-rather-long-name",
        "revision": "a" * 40,
        "task": "maps",
        "task_source": "derek-thomas/ScienceQA, category Maps",
        "task_items": 200,
        "data": None,
        "chance": 0.25,
        "scoring": "generate",
        "seed": 0,
        "shots": 20,
        "layers": n_layers,
        "fill": "zero",
        "scope": "attention",
        "probe": selection(gains, reason=reason),
        "too_long": (),
        "selected_layer": chosen,
        "confirm": NOTHING if chosen is None else Confirmation(**confirm),
        "checkpoint": None,
        "proof": None,
        "run": Path("runs/maps"),
        "command": "talo-export probe --model Owner/Base-2B --task maps",
        "cost": RunCost(12345, 23456, 20, seconds=61.2, peak_memory_bytes=2**31, threads=2),
        "evidence": Evidence(
            layer_tests=LayerTests("accuracy", 20, 20, 0.95, tests),
            calibration=None if chosen is None else CALIBRATION,
        ),
        "side_effects": EFFECTS,
    }
    result = ProbeResult(**known | changes)
    confirm = result.confirm and replace(result.confirm, knockout=result.knockout)
    return replace(result, probe=replace(result.probe, knockout=result.knockout), confirm=confirm)


BASE = BaseCard(
    name="Owner/Base-2B",
    hub_id="Owner/Base-2B",
    revision="a" * 40,
    license="apache-2.0",
    language=("en", "no"),
    pipeline_tag="image-text-to-text",
)
MODEL = BaseRecord(vlm=True, layers=28, architecture="SomeForConditionalGeneration",
                   chat_template=True)  # fmt: skip
TASK = TaskRecord(
    task="maps",
    task_items=200,
    chance=0.25,
    scoring="generate",
    seed=0,
    shots=20,
    command="talo-export probe --model Owner/Base-2B --task maps",
    task_source=f"hf://derek-thomas/ScienceQA@{'b' * 40} maps",
    date="2026-11-21",
)
RECORD = Record(
    model=MODEL,
    task=TASK,
    selection=selection(layer_gains(28)),
    confirmation=CONFIRMED,
    side_effects=EFFECTS,
    comparison=COMPARED,
)
MANIFEST = Manifest(
    base="Owner/Base-2B",
    revision="a" * 40,
    knockout=Knockout(12),
    storage="plain",
    edits=(
        Edit("model-1.safetensors", "layers.12.q_proj.weight", "BF16", (64, 32), 0, 4096, b"\0"),
        Edit("model-1.safetensors", "layers.12.q_proj.bias", "BF16", (64,), 4096, 128, b"\0"),
    ),
    files={
        "model-1.safetensors": FileRecord(9000, "ab" * 32, "model-1.safetensors", "cd" * 32),
        "README.md": FileRecord(7, None, "BASE_README.md"),
    },
    added=("README.md", "layers.png", "talo_export.json"),
    versions={"talo-export": "0.1.0", "torch": "2.13.0"},
)


def subject(**changes: Any) -> Subject:
    """A confirmed knockout of a Hub model. `changes` are fields of the subject, of its record or
    of its manifest."""
    parts: tuple[dict[str, Any], ...] = ({}, {}, {})
    for name, value in changes.items():
        for part, kind in zip(parts, (Subject, Record, Manifest), strict=True):
            if name in {field.name for field in fields(kind)}:
                part[name] = value
                break
        else:
            raise TypeError(name)
    of_subject, of_record, of_manifest = parts
    record = replace(RECORD, **of_record)
    manifest = replace(MANIFEST, **record.to_json() | of_manifest)
    return Subject(**{"manifest": manifest, "base": BASE} | of_subject)
