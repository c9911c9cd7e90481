"""One self-contained page for one run or several, from what their journals hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from talo_export.checkpoint.manifest import current_versions
from talo_export.checkpoint.staging import write_atomically
from talo_export.evidence.analyses.answers import calibrate_answers
from talo_export.evidence.analyses.cases import Case, cases
from talo_export.evidence.analyses.stability import stability
from talo_export.evidence.differences import differences
from talo_export.evidence.paired import layer_gains
from talo_export.jobs.card import side_effect_facts
from talo_export.jobs.comparison import (
    comparison_of,
    method_facts,
    read_comparison,
    sentences,
)
from talo_export.jobs.evidence import letters_scored_throughout
from talo_export.jobs.scores import FinishedRun, read_run
from talo_export.probing.settings import Scoring
from talo_export.publish.report import render_report
from talo_export.publish.report_facts import (
    CalibrationFacts,
    CaseFacts,
    LayerFacts,
    ReportFacts,
    RunFacts,
    StabilityFacts,
    picture_uri,
    run_facts,
)
from talo_export.requests.readings import ReportRequest
from talo_export.tasks.item import Item

DRAWN = 2_000
"""Resamples behind an interval that is drawn and not quoted."""

SHOWN_CASES = 6
"""Of each kind, the largest change of margin first."""


def run_report(request: ReportRequest) -> dict[str, Any]:
    """Write the page beside the first run, or to `out`.

    `comparison` is the directory of a comparison of the first run's model and task; without it,
    each run's page shows the one that `compare` put beside the run, if any.
    """
    finished = [
        read_run(path, data=request.data, trusted=request.trust_remote_code)
        for path in request.runs
    ]
    target = request.out or finished[0].run.path / "report.html"
    pages = [facts_of(one) for one in finished]
    if request.comparison is not None:
        compared = read_comparison(request.comparison, finished[0].document)
        pages[0] = replace(
            pages[0], comparison=method_facts(compared), comparison_says=sentences(compared)
        )
    facts = ReportFacts(
        runs=tuple(pages),
        versions=tuple(current_versions().items()),
        date=datetime.now(timezone.utc).date().isoformat(),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, render_report(facts))
    return {"report": str(target), "runs": [str(path) for path in request.runs]}


def facts_of(finished: FinishedRun) -> RunFacts:
    """What the page says about one run: its result, and the analyses that cost no forward pass."""
    document = finished.document
    effects = side_effect_facts(document.get("side_effects"))
    compared = comparison_of(finished.run.path, document)
    facts = run_facts(document)
    return replace(
        facts,
        layers=_with_intervals(facts.layers, finished),
        side_effects=effects,
        side_effects_sentence=None if effects is None else document["side_effects"]["sentence"],
        p_gains=_p_gains(document),
        meanings=_meanings(document),
        stability=_stability(finished),
        calibration=_calibration(finished),
        cases=_cases(finished),
        comparison=() if compared is None else method_facts(compared),
        comparison_says=() if compared is None else sentences(compared),
    )


def _with_intervals(layers: Sequence[LayerFacts], finished: FinishedRun) -> tuple[LayerFacts, ...]:
    """Every layer with the paired interval of its gain on the probing items."""
    request = finished.request
    found = layer_gains(
        finished.probed,
        scope=request["scope"],
        fill=request["fill"],
        seed=request["seed"],
        resamples=DRAWN,
    )
    return tuple(
        replace(layer, interval=found[layer.layer][1]) if layer.layer in found else layer
        for layer in layers
    )


def _p_gains(document: Mapping[str, Any]) -> Mapping[int, float]:
    """Layer -> p-value of its gain on the probing items, corrected over all layers."""
    tests = (document.get("evidence") or {}).get("layer_tests")
    if tests is None:
        return {}
    return {one["layer"]: one["p_gain"] for one in tests["layers"]}


def _meanings(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What the run's evidence says in sentences, besides the confirmation and calibration."""
    evidence = document.get("evidence") or {}
    said = [evidence["null"]["sentence"]] if evidence.get("null") else []
    power, crossed = evidence.get("power"), evidence.get("cross_validation")
    if power is not None and document["shots"] is not None:
        said.insert(0, f"Before the sweep: {power['sentence']}.")
    if crossed is not None:
        said.append(f"{crossed['sentence']}.")
    return tuple(said)


def _stability(finished: FinishedRun) -> StabilityFacts:
    request = finished.request
    found = stability(
        differences(finished.probed, scope=request["scope"], fill=request["fill"]),
        criterion=finished.document["probe"]["criterion"],
        min_gain=request["min_gain"],
        seed=request["seed"],
    )
    return StabilityFacts(
        runs=found.runs,
        same=found.same,
        shares=tuple(found.shares.items()),
        kept_base=found.kept_base,
    )


def _calibration(finished: FinishedRun) -> CalibrationFacts | None:
    if finished.knockout is None or finished.unseen is None:
        return None
    found = calibrate_answers(
        finished.unseen,
        finished.knockout,
        seed=finished.request["seed"],
        same_choices=letters_scored_throughout(
            finished.task.items, Scoring(**finished.request["scoring"])
        )
        or None,
    )
    if found is None:
        return None
    return CalibrationFacts(
        gold=found.distribution.gold,
        base=found.distribution.base,
        knockout=found.distribution.knockout,
        raw_gain=found.raw.gain,
        calibrated_gain=found.calibrated.gain,
        calibrated_ci95=found.calibrated.ci95,
        sentence=found.sentence,
    )


def _cases(finished: FinishedRun) -> tuple[CaseFacts, ...]:
    if finished.knockout is None or finished.unseen is None:
        return ()
    found = cases(finished.unseen, finished.knockout)
    items = {item.id: item for item in finished.task.items}
    return tuple(
        _case(items[case.item_id], case, turned)
        for turned, listed in (("right", found.turned_right), ("wrong", found.turned_wrong))
        for case in listed[:SHOWN_CASES]
    )


def _case(item: Item, case: Case, turned: Any) -> CaseFacts:
    return CaseFacts(
        item_id=item.id,
        turned=turned,
        question=item.question or item.prompt or "",
        choices=item.choices,
        right_answer=item.accepted[0] if item.answer is None else item.choices[item.answer],
        base_answer=case.base_answer,
        answer=case.answer,
        base_margin=case.base_margin,
        margin=case.margin,
        pictures=tuple(picture_uri(image.open()) for image in item.images),
    )
