"""What a run's scores mean beyond the confirmation: computed from the journal, nothing is run.

Every layer's gain corrected for having been one of many, what "no layer helps" means, the choice
judged by cross-validation where no items were left to judge it by, and whether the gain is one of
the layer or of the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from talo_export.evidence.analyses.answers import calibrate_answers
from talo_export.evidence.confirmation import Confirmation
from talo_export.evidence.cross_validation import cross_validate
from talo_export.evidence.differences import Differences, differences
from talo_export.evidence.discoveries import Discoveries, discover_from
from talo_export.evidence.layer_tests import correct_over_layers
from talo_export.evidence.power import explain_null
from talo_export.evidence.selection import Selection
from talo_export.probing.encoding import letters_scored
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import render

FEW = 30
"""With fewer unseen items than this the choice is cross-validated as well."""
FOLDS = 5


def evidence_of(
    probed: ScoreTable,
    selection: Selection,
    unseen: ScoreTable | None,
    confirmation: Confirmation | None,
    *,
    scope: Any,
    fill: Any,
    seed: int,
    by_letter: bool,
) -> dict[str, Any]:
    """The `evidence` object of `probe --json`. Parts that do not apply are null."""
    sweep = differences(probed, scope=scope, fill=fill)
    tests = correct_over_layers(sweep, seed=seed)
    few = confirmation is None or confirmation.n < FEW
    calibration = None
    if confirmation is not None and confirmation.knockout is not None and unseen is not None:
        calibration = calibrate_answers(
            unseen, confirmation.knockout, seed=seed, same_choices=by_letter or None
        )
    return {
        "layer_tests": tests.to_json(),
        # That no layer helps is said only where every layer could be tested, on answers.
        "null": explain_null(tests, base_accuracy=selection.base_accuracy).to_json()
        if selection.knockout is None
        and not selection.unreadable
        and len(sweep.layers) == len(probed.variants) - 1
        else None,
        "cross_validation": _cross_validated(sweep, selection, seed) if few else None,
        "calibration": None if calibration is None else calibration.to_json(),
    }


def letters_scored_throughout(items: Sequence[Item], scoring: Scoring) -> bool:
    """Whether the scores of all items are those of letters: then choice B is B everywhere,
    whatever stands behind it."""
    style = {} if scoring.prompt_style is None else {"style": scoring.prompt_style}
    return all(
        bool(item.choices) and letters_scored(render(item, **style), scoring) for item in items
    )


def _cross_validated(sweep: Differences, selection: Selection, seed: int) -> dict[str, Any] | None:
    folds = min(FOLDS, sweep.n_groups)
    if folds < 2:
        return None
    return cross_validate(
        sweep, criterion=selection.criterion, folds=folds, seed=seed, min_gain=selection.min_gain
    ).to_json()


def _best_tested(tests: Mapping[str, Any]) -> tuple[int, int, float, float]:
    """Layer, items, gain and corrected p-value of a sweep's best layer."""
    best = min(tests["layers"], key=lambda one: (one["p_gain"], -one["gain"]))
    return best["layer"], tests["n"], best["gain"], best["p_gain"]


def discoveries(documents: Mapping[str, Mapping[str, Any]]) -> Discoveries | None:
    """False discovery rate over many runs' confirmations, or, where every item was swept and
    none confirms, over the best layer of each sweep. None for fewer than two."""
    judged = {task: one["confirm"] for task, one in documents.items() if one["confirm"] is not None}
    swept = {
        task: one["evidence"]["layer_tests"]
        for task, one in documents.items()
        if one["shots"] is None and one.get("evidence")
    }
    if len(judged) < 2 <= len(swept):
        best = {task: _best_tested(tests) for task, tests in swept.items()}
        return discover_from(best, swept=True)
    if len(judged) < 2:
        return None
    return discover_from(
        {
            task: None
            if documents[task]["selected_layer"] is None
            else (documents[task]["selected_layer"], found["n"], found["gain"], found["p_value"])
            for task, found in judged.items()
        }
    )
