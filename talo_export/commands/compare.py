"""The comparison: every method on the same items, each cell in a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from talo_export.baselines.break_even import break_even
from talo_export.baselines.curves import draw_curves
from talo_export.baselines.estimate import Footprint, config_of, estimate
from talo_export.baselines.methods import draw, plan_cells
from talo_export.baselines.request import CellRequest, ModelSource, write_items
from talo_export.baselines.runner import Watcher, run_cells
from talo_export.baselines.summary import summarise, to_csv
from talo_export.baselines.verdict import verdicts
from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import Recorded
from talo_export.evidence.selection import DEFAULT_CRITERION
from talo_export.models.four_bit import require_bitsandbytes
from talo_export.models.identity import model_fingerprint
from talo_export.models.reference import resolve
from talo_export.requests.measurements import CompareRequest
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.comparison import DOCUMENT, Comparison, comparison_beside
from talo_export.runs.directory import default_directory
from talo_export.runs.loading import settle_dtype
from talo_export.wording import percent

Note = Callable[[str], None]


def run_compare(
    request: CompareRequest, *, note: Note = lambda text: None, watcher: Watcher | None = None
) -> Comparison:
    """Do the cells that are missing and put the table together.

    Raises `TaloError` and its kinds; what was finished until then stays in the journal.
    """
    if request.load_in_4bit:
        require_bitsandbytes()
    task = load_chosen(request, model_is_demo=request.is_demo)
    draws = [draw(task, request.shots, seed, request.test_limit) for seed in range(request.seeds)]
    note(
        f"task {task.name}: {len(task)} items, {len(draws[0].test)} of them to test on; "
        f"chance {percent(task.chance, 0)}"
    )
    base = resolve(request.model_reference)
    if not request.load_in_4bit:
        request = settle_dtype(request, note)
    out = request.out or compare_directory(request.model_name, task.name)
    journal = out / "cells"
    if request.fresh:
        shutil.rmtree(journal, ignore_errors=True)
    journal.mkdir(parents=True, exist_ok=True)
    items_file = journal / f"items-{task.fingerprint[:12]}.jsonl"
    if not items_file.exists():
        write_items(task, items_file)
    methods = request.to_methods()
    template = CellRequest(
        model=ModelSource(
            reference=request.model_reference,
            dtype=request.dtype,
            device=request.device,
            device_map=request.device_map,
            offload_folder=None if request.offload is None else str(request.offload),
            trust_remote_code=request.trust_remote_code,
            load_in_4bit=request.load_in_4bit,
        ),
        model_fingerprint=model_fingerprint(base.directory, base.revision),
        method="base",
        shots=0,
        seed=0,
        train=(),
        test=(),
        items_file=str(items_file),
        task_fingerprint=task.fingerprint,
        scoring=request.to_scoring(),
        training=request.to_training(),
        criterion=DEFAULT_CRITERION,
    )
    cells = plan_cells(template, methods, draws)
    results = run_cells(cells, journal, watcher=watcher)
    rows = summarise(task, cells, results)
    crossings = [
        found
        for method in methods
        if method.adapter is not None
        and (found := break_even(task, cells, results, method=method.name)) is not None
    ]
    said = verdicts(task, cells, results, rows)
    write_atomically(out / "compare.csv", to_csv(rows))
    figure = out / "compare.png"
    if any(row.shots and row.accuracy is not None for row in rows):
        draw_curves(
            rows,
            figure,
            title=f"{_short(request.model_name)} on {task.name}",
            break_evens=crossings,
        )
    comparison = Comparison(
        task=task.name,
        model=request.model_name,
        scoring=request.scoring,
        test_n=len(draws[0].test),
        chance=task.chance,
        methods=rows,
        verdicts=said,
        break_even=tuple(crossings),
        summary=" ".join(verdict.sentence for verdict in said) or "no method was tested",
        training=request.to_training(),
        load_in_4bit=request.load_in_4bit,
        run=out,
        csv=out / "compare.csv",
        figure=figure if figure.exists() else None,
    )
    write_atomically(out / DOCUMENT, json.dumps(comparison.to_json(), indent=1) + "\n")
    return comparison


def _short(name: str) -> str:
    """The last part: a figure does not show where a directory lies on a machine."""
    return name.replace("\\", "/").rstrip("/").split("/")[-1] or name


def compare_directory(model_name: str, task_name: str) -> Path:
    """Beside the run that `probe` makes for the same model and task, not inside it."""
    return comparison_beside(default_directory(model_name, task_name))


@dataclass(frozen=True)
class Estimate(Recorded):
    """Predicted memory, one footprint a batch: the document of `compare --estimate --json`."""

    model: str
    footprints: tuple[Footprint, ...]


def run_estimate(request: CompareRequest) -> Estimate:
    """Predict memory from the config alone.

    One footprint for our own training, which passes one item at a time, and one for the usual
    batch of 4. Nothing but the config is read or downloaded.
    """
    config = config_of(request.model_reference, trust_remote_code=request.trust_remote_code)
    adapters = [method.adapter for method in request.to_methods() if method.adapter]
    footprints = [
        estimate(
            config,
            dtype=request.dtype,
            tokens=request.tokens,
            batch=batch,
            adapter=adapters[0] if adapters else "lora",
            training=request.to_training(),
            four_bit=request.load_in_4bit,
        )
        for batch in (1, 4)
    ]
    return Estimate(request.model_name, tuple(footprints))
