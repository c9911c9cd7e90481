"""The comparison: every method on the same items, each cell in a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from talo_export.baselines.break_even import break_even
from talo_export.baselines.curves import draw_curves
from talo_export.baselines.methods import draw, plan_cells
from talo_export.baselines.request import CellRequest, ModelSource, write_items
from talo_export.baselines.runner import Watcher, run_cells
from talo_export.baselines.summary import summarise, to_csv
from talo_export.baselines.verdict import verdicts
from talo_export.checkpoint.staging import write_atomically
from talo_export.evidence.selection import DEFAULT_CRITERION
from talo_export.jobs.comparison import DOCUMENT, comparison_beside
from talo_export.jobs.run import default_directory
from talo_export.jobs.task_words import load_chosen
from talo_export.models.four_bit import require_bitsandbytes
from talo_export.models.identity import model_fingerprint
from talo_export.models.reference import resolve
from talo_export.requests.measurements import CompareRequest
from talo_export.wording import percent

Note = Callable[[str], None]


def run_compare(
    request: CompareRequest, *, note: Note = lambda text: None, watcher: Watcher | None = None
) -> dict[str, Any]:
    """Do the cells that are missing and put the table together: the document of `compare --json`.

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
    out = request.out or compare_directory(request.model_name, task.name)
    journal = out / "cells"
    if request.fresh:
        shutil.rmtree(journal, ignore_errors=True)
    journal.mkdir(parents=True, exist_ok=True)
    items_file = journal / f"items-{task.fingerprint[:12]}.jsonl"
    if not items_file.exists():
        write_items(task, items_file)
    methods = request.to_methods()
    base = resolve(request.model_reference)
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
    document = {
        "task": task.name,
        "model": request.model_name,
        "scoring": request.scoring,
        "test_n": len(draws[0].test),
        "chance": task.chance,
        "methods": [row.to_json() for row in rows],
        "verdicts": [verdict.to_json() for verdict in said],
        "break_even": [crossing.to_json() for crossing in crossings],
        "summary": " ".join(verdict.sentence for verdict in said) or "no method was tested",
        "training": request.to_training().to_json(),
        "load_in_4bit": request.load_in_4bit,
        "run": str(out),
        "csv": str(out / "compare.csv"),
        "figure": str(figure) if figure.exists() else None,
    }
    write_atomically(out / DOCUMENT, json.dumps(document, indent=1) + "\n")
    return document


def _short(name: str) -> str:
    """The last part: a figure does not show where a directory lies on a machine."""
    return name.replace("\\", "/").rstrip("/").split("/")[-1] or name


def compare_directory(model_name: str, task_name: str) -> Path:
    """Beside the run that `probe` makes for the same model and task, not inside it."""
    return comparison_beside(default_directory(model_name, task_name))


def run_estimate(request: CompareRequest) -> dict[str, Any]:
    """The document of `compare --estimate --json`: predicted memory from the config alone.

    One footprint for our own training, which passes one item at a time, and one for the usual
    batch of 4. Nothing but the config is read or downloaded.
    """
    from talo_export.baselines.estimate import config_of, estimate

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
        ).to_json()
        for batch in (1, 4)
    ]
    return {"model": request.model_name, "footprints": footprints}
