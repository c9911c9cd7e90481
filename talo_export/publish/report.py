"""The report: one HTML page that needs no network, no server and no JavaScript.

`ReportFacts` in, the page's text out. Style and script are files beside this one and are put into
the page; with the script, tables sort and the chart reads itself out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from talo_export import wording
from talo_export.publish.charts import Span, every, scale, span
from talo_export.publish.report_facts import CaseFacts, ReportFacts, RunFacts

_WHAT = {
    "attention": "self-attention",
    "o_proj": "attention output projection",
    "mlp": "feed-forward block",
    "layer": "attention and feed-forward block",
}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class _Bar:
    span: Span
    whisker: Span | None
    kind: str
    chosen: bool
    say: str


def render_report(facts: ReportFacts) -> str:
    """The page. Everything that came from a task or a model is escaped."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            facts=facts,
            pages=[_page(run) for run in facts.runs],
            title=_title(facts),
            style=Markup(_read("report.css")),
            script=Markup(_read("report.js")),
            card=_case,
            percent=lambda share: wording.percent(share).replace(" ", "\N{NO-BREAK SPACE}"),
            measured=wording.measured,
            signed=wording.signed,
            points=wording.points,
            interval=wording.interval,
            p_value=wording.p_value,
            size=wording.size,
        )
    )


def summary(run: RunFacts) -> str:
    """What came out of a run, in one sentence."""
    found = run.unseen
    if run.selected is None:
        return f"No layer earns a knockout on {run.task}: keep the base."
    if found is None:
        return f"Layer {run.selected} did best on the probing items of {run.task}; unconfirmed."
    measured = (
        f"{wording.points(found.gain)} on {found.n} items never probed "
        f"({wording.percent(found.base_accuracy)} to {wording.percent(found.accuracy)}, "
        f"{wording.interval(found.ci95)})"
    )
    says = {
        "confirmed": f"Knocking out layer {run.selected} helps {run.task}: {measured}.",
        "unconfirmed": f"Layer {run.selected} was chosen for {run.task}, but its gain is not "
        f"confirmed: {measured}.",
        "harmful": f"Layer {run.selected} was chosen for {run.task}, and it harms: {measured}.",
    }
    return says[found.verdict]


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


def _title(facts: ReportFacts) -> str:
    if len(facts.runs) == 1:
        return f"{facts.runs[0].task}: {_short(facts.runs[0].model)}"
    models = {_short(run.model) for run in facts.runs}
    return f"{len(facts.runs)} runs of {', '.join(sorted(models))}"


def _short(model: str) -> str:
    return model.replace("\\", "/").rstrip("/").split("/")[-1] or model


def _page(run: RunFacts) -> dict[str, Any]:
    """What the template prints for one run, worked out."""
    return {
        "run": run,
        "model": _short(run.model),
        "summary": summary(run),
        "what": _WHAT.get(run.scope, run.scope),
        "gains": _gains(run),
        "unseen": _unseen(run),
        "has_margins": any(layer.margin_gain is not None for layer in run.layers),
        "has_probabilities": any(layer.probability_gain is not None for layer in run.layers),
        "has_unparsed": any(layer.unparsed is not None for layer in run.layers),
        "has_intervals": any(layer.interval is not None for layer in run.layers),
        "letters": _letters(run),
        "shares": sorted(
            (pair for pair in (run.stability.shares if run.stability else ()) if pair[1] > 0),
            key=lambda pair: -pair[1],
        ),
        "side_effects": _side_effects(run),
        "cases": [
            _case_group(run, "right", "Turned right"),
            _case_group(run, "wrong", "Turned wrong"),
        ],
    }


def _case_group(run: RunFacts, kind: Literal["right", "wrong"], title: str) -> dict[str, Any]:
    """The cases at hand, and of how many: a page shows the largest changes, not all."""
    shown = [case for case in run.cases if case.turned == kind]
    counts = (run.unseen.turned_right, run.unseen.turned_wrong) if run.unseen else (None, None)
    count = counts[kind == "wrong"]
    some = count is not None and count > len(shown)
    said = f"{len(shown)} of {count}, the largest changes" if some else f"{len(shown)}"
    return {"title": f"{title} ({said})", "cases": shown}


def _gains(run: RunFacts) -> dict[str, Any]:
    ends = [end for layer in run.layers for end in (layer.interval or ())]
    axis = scale([*(layer.gain for layer in run.layers), *ends])
    bars = []
    for layer in run.layers:
        chosen = layer.layer == run.selected
        say = f"layer {layer.layer}: {wording.points(layer.gain)}"
        say += f", accuracy {wording.percent(layer.accuracy)}" + (", chosen" if chosen else "")
        kind = "up" if layer.gain > 0 else "down" if layer.gain < 0 else "none"
        whisker = span(axis, *layer.interval) if layer.interval else None
        bars.append(_Bar(span(axis, 0.0, layer.gain), whisker, kind, chosen, say))
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
            for index, layer in enumerate(run.layers)
            if index % step == 0
        ],
        "rest": "No layer was chosen."
        if run.selected is None
        else next(bar.say for bar in bars if bar.chosen),
    }


def _unseen(run: RunFacts) -> dict[str, Any] | None:
    if run.unseen is None:
        return None
    low, high = run.unseen.ci95
    axis = scale([low, high, run.unseen.gain])
    return {
        "low": wording.tick(axis.low) if axis.low else "",
        "high": wording.tick(axis.high) if axis.high else "",
        "zero": axis.zero,
        "zero_label": "0",
        "range": span(axis, low, high),
        "point": axis.at(run.unseen.gain),
    }


def _letters(run: RunFacts) -> list[tuple[str, float, float, float]]:
    if run.calibration is None:
        return []
    shares = (run.calibration.gold, run.calibration.base, run.calibration.knockout)
    return list(zip(_LETTERS, *shares, strict=False))


def _side_effects(run: RunFacts) -> str:
    gains = [effect.gain for effect in run.side_effects or ()]
    if not gains:
        return ""
    worse, better = sum(gain < 0 for gain in gains), sum(gain > 0 for gain in gains)
    return (
        f"The same knockout on {wording.count(len(gains), 'other task')}: {worse} got worse, "
        f"{better} got better, on average {wording.points(sum(gains) / len(gains))}."
    )


def _case(case: CaseFacts) -> Markup:
    return Markup(_environment().get_template("case.html.jinja").render(case=case))
