"""The work of one cell: adapt the model to the labelled items, then answer the test items."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from talo_export.baselines.adapters import (
    ADAPTERS,
    attached,
    save_adapter,
    trainable_parameters,
)
from talo_export.baselines.calibration import Prior, fit_prior, recalibrate
from talo_export.baselines.examples import in_context, make_example
from talo_export.baselines.methods import METHODS, Method
from talo_export.baselines.passes import counted
from talo_export.baselines.request import CellRequest, CellResult, Phase
from talo_export.baselines.training import Trained, train
from talo_export.errors import TaloError
from talo_export.evidence.selection import Selection, select
from talo_export.knockout import Knockout
from talo_export.models.anatomy import prefixed
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import PeakMemory, is_out_of_memory
from talo_export.models.proof import BaseAnswer
from talo_export.models.switching import knocked_out
from talo_export.probing.scores import ScoreTable
from talo_export.probing.sweep import SweepResult, all_knockouts, sweep
from talo_export.tasks.item import Item, Task
from talo_export.wording import first_line


@dataclass
class Adapted:
    """What adapting left behind for the test, and what it counted."""

    loaded: LoadedModel
    knockout: Knockout | None = None
    prior: Prior | None = None
    trained: Trained | None = None
    adapter: PeftModel | None = None
    forward_layers: int = 0
    """Layer evaluations spent on sweeps."""
    forward: int = 0
    backward: int = 0
    details: dict[str, Any] = field(default_factory=dict)


def do_cell(
    request: CellRequest, loaded: LoadedModel, task: Task, memory: PeakMemory, artifact: Path
) -> CellResult:
    """Run a cell on a loaded model, which comes back unchanged. Files to ship go to `artifact`.

    Raises NotApplicableError where the method has no meaning here, TaloError where an item or the
    model does not allow it.
    """
    method = METHODS[request.method]
    items = {item.id: item for item in task.items}
    refuse_leaks(request, items)
    shots = [items[id_] for id_ in request.train]
    test = [items[id_] for id_ in request.test]
    with ExitStack() as stack:
        memory.begin()
        started = time.perf_counter()
        adapted = adapt(request, method, loaded, shots, stack)
        asked: Sequence[Item] = test
        if method.in_context:
            asked, adapted.details["shots_shown"] = in_context(
                loaded, test, shots, request.scoring, seed=request.seed
            )
        adaptation = _phase(memory, started, adapted)
        size, bytes_ = _ship(method, adapted, shots, artifact)
        result = CellResult(
            status="done", adapt=adaptation, trainable_parameters=size, artifact_bytes=bytes_,
            layer=None if adapted.knockout is None else adapted.knockout.layer,
            details=adapted.details,
        )  # fmt: skip
        if adapted.trained is not None and adapted.trained.diverged:
            return replace(result, status="diverged", reason=f"{adapted.trained.diverged}.")
        memory.begin()
        started = time.perf_counter()
        try:
            table = answer(request, adapted, asked)
        except (TaloError, MemoryError, RuntimeError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            reason = out_of_memory(error)
            return replace(
                result, status="out of memory", reason=reason, test=_phase(memory, started, None)
            )
        return replace(
            result,
            correct={
                id_: bool(right) for id_, right in zip(request.test, _right(table), strict=True)
            },
            unparsed=int((~table.parsed[0]).sum()),
            test=_phase(memory, started, None),
        )


def out_of_memory(error: BaseException) -> str:
    """What did not fit, one line."""
    return first_line(str(error)) or "not enough memory"


def refuse_leaks(request: CellRequest, items: dict[str, Item]) -> None:
    """Raise TaloError where a test item, or its picture, is among the items to learn from."""
    both = set(request.train) & set(request.test)
    groups = {items[id_].group for id_ in request.train}
    both |= {id_ for id_ in request.test if items[id_].group in groups}
    if both:
        raise TaloError(f"item {min(both)!r} is in training and in the test: nothing was run.")


def adapt(
    request: CellRequest,
    method: Method,
    loaded: LoadedModel,
    shots: Sequence[Item],
    stack: ExitStack,
) -> Adapted:
    """Do with the shots what the method does. `stack` undoes it when it closes."""  # fmt: skip
    adapted = Adapted(loaded)
    if method.knockout or method.calibrated:
        table = _probe(request, method, adapted, shots)
        if method.knockout:
            selection = choose_layer(request, method, table, shots)
            adapted.knockout = selection.knockout
            adapted.details["selection"] = selection.reason
        if method.calibrated:
            adapted.prior = fit_prior(table, shots, request.scoring, adapted.knockout)
    if adapted.knockout is not None:
        # Items pass one at a time, so this also holds for weights that cannot be filled in memory.
        base = BaseAnswer.of(loaded.model)
        stack.enter_context(knocked_out(loaded.model, loaded.decoder, adapted.knockout, base))
    if method.adapter is not None:
        _train(request, method.adapter, adapted, shots, stack)
    return adapted


def choose_layer(
    request: CellRequest, method: Method, table: ScoreTable, shots: Sequence[Item]
) -> Selection:
    """The layer the shots speak for, judged after calibration where the method calibrates."""
    if method.calibrated:
        priors = {v: fit_prior(table, shots, request.scoring, v) for v in table.variants}
        table = recalibrate(table, shots, priors, request.scoring)
    return select(table, min_gain=request.min_gain, criterion=request.criterion)


def answer(request: CellRequest, adapted: Adapted, items: Sequence[Item]) -> ScoreTable:
    """One row of outcomes of the adapted model on these items."""
    loaded = adapted.loaded
    if adapted.adapter is not None and adapted.adapter.active_peft_config.is_prompt_learning:
        # Soft prompts are put before the input by PEFT's own forward and generate.
        decoder = prefixed(loaded.decoder, "base_model.")
        loaded = replace(loaded, model=adapted.adapter, decoder=decoder)
    table = sweep(loaded, items, (None,), request.scoring, engine="naive").table
    if adapted.prior is None:
        return table
    return recalibrate(table, items, {None: adapted.prior}, request.scoring)


def _probe(
    request: CellRequest, method: Method, adapted: Adapted, shots: Sequence[Item]
) -> ScoreTable:
    knockouts = all_knockouts(adapted.loaded.decoder) if method.knockout else ()
    result: SweepResult = sweep(adapted.loaded, shots, (None, *knockouts), request.scoring)
    adapted.forward_layers += result.cost.layer_evaluations
    return result.table


def _train(
    request: CellRequest, name: str, adapted: Adapted, shots: Sequence[Item], stack: ExitStack
) -> None:
    loaded = adapted.loaded
    silent = None if adapted.knockout is None else adapted.knockout.layer
    with counted(loaded.model, loaded.decoder) as passes:
        training = request.training
        rate = training.learning_rate or ADAPTERS[name].learning_rate
        model = stack.enter_context(
            attached(loaded, name, training, seed=request.seed, silent_layer=silent)
        )
        examples = [make_example(loaded, item, request.scoring) for item in shots]
        trained = train(model, examples, training, rate, seed=request.seed)
    adapted.adapter, adapted.trained = model, trained
    adapted.forward, adapted.backward = passes.forward, passes.backward
    adapted.details |= {
        "learning_rate": rate, "epochs": trained.epochs, "steps": trained.steps,
        # JSON has no NaN: a loss that is none is left out, the reason names it.
        "losses": [round(loss, 4) for loss in trained.losses if loss == loss],
    }  # fmt: skip


def _phase(memory: PeakMemory, started: float, adapted: Adapted | None) -> Phase:
    peak = memory.read()
    seconds = time.perf_counter() - started
    if adapted is None:
        return Phase(seconds, peak.used, peak.held)
    sweeps = round(adapted.forward_layers / len(adapted.loaded.decoder))
    return Phase(seconds, peak.used, peak.held, sweeps + adapted.forward, adapted.backward)


def _ship(
    method: Method, adapted: Adapted, shots: Sequence[Item], artifact: Path
) -> tuple[int, int]:
    """(trainable parameters, bytes of what is shipped beside the base), written to `artifact`."""
    words: dict[str, Any] = {}
    if adapted.knockout is not None:
        words["knockout"] = adapted.knockout.to_json()
    if adapted.prior is not None:
        words["prior"] = dict(adapted.prior.nats)
    if method.in_context:
        words["examples"] = [item.id for item in shots]
    size = bytes_ = 0
    if adapted.adapter is not None:
        size = trainable_parameters(adapted.adapter)
        bytes_ = save_adapter(adapted.adapter, artifact)
    if words:
        artifact.mkdir(parents=True, exist_ok=True)
        path = artifact / "talo_baseline.json"
        path.write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")
        bytes_ += path.stat().st_size
    return size, bytes_


def _right(table: ScoreTable) -> Sequence[bool]:
    row = table.row(None)
    return list(table.correct[row] & table.finite[row])
