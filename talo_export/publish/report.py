"""The report: one HTML page that needs no network, no server and no JavaScript.

Results of probes in, the page's text out. Style and script are files beside this one and are put
into the page; with the script, tables sort and the chart reads itself out.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup
from PIL import Image

from talo_export import wording
from talo_export.evidence.analyses.cases import Case, Cases
from talo_export.evidence.analyses.stability import Stability
from talo_export.knockout import part_of
from talo_export.publish.charts import Scale, Span, every, scale, span
from talo_export.publish.next_steps import next_steps
from talo_export.runs.comparison import Comparison
from talo_export.runs.result import Evidence, ProbeResult, sentence
from talo_export.tasks.item import Item

SHOWN = 6
"""Cases of each kind, the largest change of margin first."""

_STEPS = {
    "load": "Load it",
    "ask": "Ask it, beside the base",
    "check": "Check it",
    "publish": "Publish it",
    "write": "Write the checkpoint",
    "next": "Worth trying next",
}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class RunPage:
    """One run, and what was worked out from its scores. What was not measured is None or empty,
    and said to be so."""

    result: ProbeResult
    intervals: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Layer -> paired interval of its gain on the probing items."""
    stability: Stability | None = None
    cases: Cases | None = None
    items: Mapping[str, Item] = field(default_factory=dict)
    """The cases' own, by id."""
    comparison: Comparison | None = None


@dataclass(frozen=True)
class _Layer:
    layer: int
    accuracy: float
    gain: float
    margin_gain: float | None
    probability_gain: float | None
    unparsed: int | None
    p_gain: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class _Bar:
    span: Span
    whisker: Span | None
    kind: str
    chosen: bool
    say: str


def render_report(
    runs: Sequence[RunPage], *, versions: Mapping[str, str] | None = None, date: str | None = None
) -> str:
    """The page. Everything that came from a task or a model is escaped."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            pages=[_page(run) for run in runs],
            versions=versions or {},
            date=date,
            title=_title([run.result for run in runs]),
            style=Markup(_read("report.css")),
            script=Markup(_read("report.js")),
            percent=lambda share: wording.percent(share).replace(" ", "\N{NO-BREAK SPACE}"),
            measured=wording.measured,
            signed=wording.signed,
            points=wording.points,
            interval=wording.interval,
            p_value=wording.p_value,
            size=wording.size,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _title(results: Sequence[ProbeResult]) -> str:
    if len(results) == 1:
        return f"{results[0].task}: {wording.last_part(results[0].model)}"
    models = {wording.last_part(result.model) for result in results}
    return f"{len(results)} runs of {', '.join(sorted(models))}"


def _page(run: RunPage) -> dict[str, object]:
    """What the template prints for one run, worked out."""
    result, layers, comparison = run.result, _layers(run), run.comparison
    stability, evidence = run.stability, result.evidence or Evidence()
    return {
        "run": result,
        "layers": layers,
        "model": wording.last_part(result.model),
        "summary": f"{result.finding}.",
        "what": part_of("the layer", result.scope),
        "gains": _gains(layers, result.selected_layer),
        "confirmation": result.confirmation,
        "unseen": _unseen(result),
        "null": None if evidence.null is None else sentence(evidence.null),
        "meanings": _meanings(result),
        "calibration": evidence.calibration,
        "letters": _letters(result),
        "stability": stability,
        "shares": []
        if stability is None
        else sorted(
            (pair for pair in stability.shares.items() if pair[1] > 0),
            key=lambda pair: -pair[1],
        ),
        "cases": _cases(run),
        "methods": () if comparison is None else comparison.methods,
        "comparison_says": () if comparison is None else comparison.kept.sentences,
        "commands": _commands(result),
    }


def _layers(run: RunPage) -> list[_Layer]:
    """Every layer that was measured."""
    probe, evidence = run.result.probe, run.result.evidence
    tests = None if evidence is None else evidence.layer_tests
    p_gains = {} if tests is None else {test.layer: test.p_gain for test in tests.layers}
    return [
        _Layer(
            layer=layer,
            accuracy=accuracy,
            gain=gain,
            margin_gain=None if probe.margin_gains is None else probe.margin_gains[layer],
            probability_gain=(
                None if probe.probability_gains is None else probe.probability_gains[layer]
            ),
            unparsed=probe.unparsed[layer],
            p_gain=p_gains.get(layer),
            interval=run.intervals.get(layer),
        )
        for layer, (accuracy, gain) in enumerate(zip(probe.accuracy, probe.gains, strict=True))
        if accuracy is not None and gain is not None
    ]


def _gains(layers: Sequence[_Layer], selected: int | None) -> dict[str, object]:
    ends = [end for layer in layers for end in (layer.interval or ())]
    # Five points each way at least: an axis that fits noise makes cliffs of it.
    axis = scale([*(layer.gain for layer in layers), *ends, -0.05, 0.05])
    bars = [_bar(layer, axis, layer.layer == selected) for layer in layers]
    n = len(bars)
    step = every(n, most=12)
    return {
        "bars": bars,
        "ticks": [
            {"at": axis.at(tick), "label": wording.tick(tick), "zero": tick == 0}
            for tick in axis.ticks
        ],
        "columns": [
            {"at": round(100 * (index + 0.5) / n, 3), "text": str(layer.layer)}
            for index, layer in enumerate(layers)
            if index % step == 0
        ],
        "rest": next((bar.say for bar in bars if bar.chosen), "No layer was chosen."),
    }


def _bar(layer: _Layer, axis: Scale, chosen: bool) -> _Bar:
    say = f"layer {layer.layer}: {wording.points(layer.gain)}"
    say += f", accuracy {wording.percent(layer.accuracy)}" + (", chosen" if chosen else "")
    kind = "up" if layer.gain > 0 else "down" if layer.gain < 0 else "none"
    whisker = span(axis, *layer.interval) if layer.interval else None
    return _Bar(span(axis, 0.0, layer.gain), whisker, kind, chosen, say)


def _unseen(result: ProbeResult) -> dict[str, object] | None:
    if result.confirmation is None:
        return None
    low, high = result.confirmation.ci95
    axis = scale([low, high, result.confirmation.gain])
    return {
        "low": wording.tick(axis.low) if axis.low else "",
        "high": wording.tick(axis.high) if axis.high else "",
        "zero": axis.zero,
        "range": span(axis, low, high),
        "point": axis.at(result.confirmation.gain),
    }


def _meanings(result: ProbeResult) -> list[str]:
    """What the scores mean besides confirmation and calibration, a sentence each."""
    evidence = result.evidence
    if evidence is None:
        return []
    sentences = []
    if evidence.power is not None and result.shots is not None:
        sentences.append(f"Before the sweep: {evidence.power.sentence}.")
    if evidence.cross_validation is not None:
        sentences.append(sentence(evidence.cross_validation))
    return sentences


def _letters(result: ProbeResult) -> list[tuple[str, float, float, float]]:
    """Each choice's letter, and its shares of right answers, of the base's and the knockout's."""
    calibration = None if result.evidence is None else result.evidence.calibration
    if calibration is None:
        return []
    shares = calibration.distribution
    return list(zip(_LETTERS, shares.gold, shares.base, shares.knockout, strict=False))


def _cases(run: RunPage) -> list[dict[str, object]]:
    """The answers that turned, right and wrong: of the most, the largest changes alone."""
    if run.cases is None:
        return []
    kinds = (("Turned right", run.cases.turned_right), ("Turned wrong", run.cases.turned_wrong))
    return [
        {
            "title": f"{title} ({len(cases)})"
            if len(cases) <= SHOWN
            else f"{title} ({SHOWN} of {len(cases)}, the largest changes)",
            "cases": [_case(case, run.items[case.item_id]) for case in cases[:SHOWN]],
        }
        for title, cases in kinds
        if cases
    ]


def _case(case: Case, item: Item) -> dict[str, object]:
    return {
        "case": case,
        "question": item.question or item.prompt or "",
        "choices": item.choices,
        "right_answer": item.accepted[0] if item.answer is None else item.choices[item.answer],
        "pictures": [picture_uri(image.open()) for image in item.images],
    }


def _commands(result: ProbeResult) -> list[tuple[str, str]]:
    """(what it does, line to copy)."""
    return [
        *((_STEPS[name], line) for name, line in next_steps(result)),
        ("Run it again", result.command),
    ]


def picture_uri(picture: Image.Image, *, longest_side: int = 320) -> str:
    """A picture small enough to stand in the page, as a PNG data URI."""
    small = picture.copy()
    small.thumbnail((longest_side, longest_side))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
