"""What a run's scores mean beyond the confirmation: computed from the journal, nothing is run.

Every layer's gain corrected for having been one of many, what "no layer helps" means, the choice
judged by cross-validation where no items were left to judge it by, and whether the gain is one of
the layer or of the letter.
"""

from __future__ import annotations

from collections.abc import Sequence

from talo_export.evidence.analyses.answers import calibrate_answers
from talo_export.evidence.confirmation import Confirmation
from talo_export.evidence.cross_validation import CrossValidated, cross_validate
from talo_export.evidence.differences import Differences, differences
from talo_export.evidence.discoveries import Discoveries, Tested, discover_from
from talo_export.evidence.layer_tests import LayerTests, correct_over_layers
from talo_export.evidence.power import Power, explain_null
from talo_export.evidence.selection import Selection
from talo_export.knockout import Fill, Scope
from talo_export.probing.encoding import letters_scored, prompt_of
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.runs.result import Evidence, ProbeResult
from talo_export.tasks.item import Item

FEW = 30
"""With fewer unseen items than this the choice is cross-validated as well."""
FOLDS = 5


def evidence_of(
    probed: ScoreTable,
    selection: Selection,
    unseen: ScoreTable | None,
    confirmation: Confirmation | None,
    power: Power,
    *,
    scope: Scope,
    fill: Fill,
    seed: int,
    by_letter: bool,
) -> Evidence:
    """What the scores mean. `unseen` are the items that confirmed the selected knockout."""
    sweep = differences(probed, scope=scope, fill=fill)
    tests = correct_over_layers(sweep, seed=seed)
    few = confirmation is None or confirmation.n < FEW
    calibration = None
    if selection.knockout is not None and unseen is not None:
        calibration = calibrate_answers(
            unseen, selection.knockout, seed=seed, same_choices=by_letter or None
        )
    return Evidence(
        power=power,
        layer_tests=tests,
        # That no layer helps is said only where every layer could be tested, on answers.
        null=explain_null(tests, base_accuracy=selection.base_accuracy)
        if selection.knockout is None
        and not selection.unreadable
        and len(sweep.layers) == len(probed.variants) - 1
        else None,
        cross_validation=_cross_validated(sweep, selection, seed) if few else None,
        calibration=calibration,
    )


def letters_scored_throughout(items: Sequence[Item], scoring: Scoring) -> bool:
    """Whether the scores of all items are those of letters: then choice B is B everywhere,
    whatever stands behind it."""
    return all(
        bool(item.choices) and letters_scored(prompt_of(item, scoring), scoring) for item in items
    )


def _cross_validated(sweep: Differences, selection: Selection, seed: int) -> CrossValidated | None:
    folds = min(FOLDS, sweep.n_groups)
    if folds < 2:
        return None
    return cross_validate(
        sweep, criterion=selection.criterion, folds=folds, seed=seed, min_gain=selection.min_gain
    )


def discoveries(results: Sequence[ProbeResult]) -> Discoveries | None:
    """False discovery rate over many runs' confirmations, or, where every item was swept and
    none confirms, over the best layer of each sweep. None for fewer than two."""
    judged = [result for result in results if result.confirm is not None]
    swept = {
        result.task: _best_tested(result.evidence.layer_tests)
        for result in results
        if result.shots is None and result.evidence and result.evidence.layer_tests
    }
    if len(judged) < 2 <= len(swept):
        return discover_from(swept, swept=True)
    if len(judged) < 2:
        return None
    return discover_from({result.task: _tested(result) for result in judged})


def _best_tested(tests: LayerTests) -> Tested:
    best = tests.best
    return best.layer, tests.n, best.gain, best.p_gain


def _tested(result: ProbeResult) -> Tested | None:
    layer, found = result.selected_layer, result.confirmation
    return None if layer is None or found is None else (layer, found.n, found.gain, found.p_value)
