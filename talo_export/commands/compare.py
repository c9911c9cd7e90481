"""The comparison: every method on the same items, each cell in a process of its own.

The cells' process imports what trains; this one does without, and finds finished cells sooner.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from talo_export.baselines.break_even import break_even
from talo_export.baselines.curves import draw_curves
from talo_export.baselines.footprint import Estimate
from talo_export.baselines.methods import draw, plan_cells
from talo_export.baselines.request import CellRequest, ModelSource, write_items
from talo_export.baselines.runner import run_cells
from talo_export.baselines.summary import Row, summarise, to_csv
from talo_export.baselines.verdict import verdicts
from talo_export.checkpoint.staging import write_atomically
from talo_export.commands.tables import table_of
from talo_export.evidence.criteria import DEFAULT_CRITERION
from talo_export.models.identity import model_fingerprint
from talo_export.models.reference import resolve
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.measurements import CompareRequest
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.comparison import DOCUMENT, Comparison, comparison_beside
from talo_export.runs.directory import default_directory
from talo_export.runs.loading import settle_dtype
from talo_export.wording import last_part, percent, size

if TYPE_CHECKING:
    from rich.console import Console


def run_compare(request: CompareRequest, reporter: Reporter) -> Comparison:
    """Do the cells that are missing and put the table together.

    Raises `TaloError` and its kinds; what was finished until then stays in the journal.
    """
    if request.load_in_4bit:
        from talo_export.models.four_bit import require_bitsandbytes

        require_bitsandbytes()
    task = load_chosen(request, model_is_demo=request.is_demo)
    draws = [draw(task, request.shots, seed, request.test_limit) for seed in range(request.seeds)]
    reporter.note(
        f"task {task.name}: {len(task)} items, {len(draws[0].test)} of them to test on; "
        f"chance {percent(task.chance, 0)}"
    )
    base = resolve(request.model_reference)
    if not request.load_in_4bit:
        request = settle_dtype(request, reporter)
    # Beside the run that `probe` makes for the same model and task, not inside it.
    out = request.out or comparison_beside(default_directory(request.model_name, task.name))
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
            offload_folder=request.offload,
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
    results = run_cells(cells, journal, reporter)
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
            title=f"{last_part(request.model_name)} on {task.name}",
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


def run_estimate(request: CompareRequest) -> Estimate:
    """Predict memory from the config alone: nothing else is read or downloaded.

    For each adapter among the methods one footprint for our own training, which passes one item
    at a time, and one for the usual batch of 4.
    """
    from talo_export.baselines.estimate import config_of, estimate

    config = config_of(request.model_reference, trust_remote_code=request.trust_remote_code)
    adapters = [method.adapter for method in request.to_methods() if method.adapter]
    footprints = estimate(
        config,
        dtype=request.dtype,
        tokens=request.tokens,
        batches=(1, 4),
        adapters=adapters or ["lora"],
        training=request.to_training(),
        four_bit=request.load_in_4bit,
    )
    return Estimate(request.model_name, footprints)


def show_compare(comparison: Comparison, to: Console) -> None:
    """The table, then what it says."""
    from rich.table import Table

    to.print(
        f"{comparison.model} on {comparison.task}, {comparison.test_n} test items a seed, "
        f"scored by {comparison.scoring}, chance {percent(comparison.chance, 0)}"
    )
    columns = [column for column in COLUMNS if to.width >= column.from_width]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for column in columns:
        right = "left" if column.name == "method" else "right"
        table.add_column(column.name, justify=right, no_wrap=True)  # type: ignore[arg-type]
    for row in comparison.methods:
        table.add_row(*(column.says(row) for column in columns))
    to.print(table)
    for row in comparison.methods:
        failed = f"{row.not_done}: {' '.join(row.reasons or ())}"
        for note in (*([failed] if row.not_done is not None else []), *row.notes):
            to.print(f"{row.method}, {row.shots} shots: {note}", style="dim")
    for sentence in comparison.kept.sentences:
        to.print(sentence)
    to.print(
        "accuracy: mean and standard deviation over seeds; gain: over the base, in points, paired "
        "by item; memory: largest peak above the interpreter, or of the device; seconds and "
        "passes (forward + backward): to adapt, not to test; ships: bytes beside the base; "
        "slower: to answer, against the base. The most accurate method is picked on the items "
        "it is judged by, which flatters its lead. The CSV has every column.",
        style="dim",
    )
    to.print(f"{comparison.csv}  {comparison.figure or ''}", style="dim")


def show_estimate(estimate: Estimate, to: Console) -> None:
    """Predicted memory, one column a batch."""
    first, batches = estimate.footprints[0], sorted({f.batch for f in estimate.footprints})
    bits = ", decoder in NF4" if first.four_bit else ""
    picture = f" and {first.image_tokens:,} of a picture" if first.image_tokens else ""
    to.print(
        f"{estimate.model}: {_in_words(first.parameters)} parameters, "
        f"{first.dtype}{bits}, {first.tokens:,} tokens{picture}; predicted, nothing was run"
    )
    table = table_of("", *(f">{batch} a pass" for batch in batches))
    shared = (("inference", "inference"), ("probing", "knockout probing"), ("weights", "  weights"))
    training = (
        ("training", "training {}"), ("activations", "  kept activations"),
        ("gradients", "  gradients"), ("optimizer", "  optimizer"),
    )  # fmt: skip
    adapters = dict.fromkeys(footprint.adapter for footprint in estimate.footprints)
    rows = [(first.adapter, *row) for row in shared]
    rows += [(adapter, *row) for adapter in adapters for row in training]
    for adapter, name, said in rows:
        of_batch = {f.batch: f for f in estimate.footprints if f.adapter == adapter}
        cells = (_size(getattr(of_batch[batch], name)) for batch in batches)
        table.add_row(said.format(adapter), *cells)
    to.print(table)


def _in_words(count: int) -> str:
    return f"{count / 1e9:.2f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million"


def _size(n_bytes: int | None) -> str:
    return "" if n_bytes is None else size(n_bytes)


def _accuracy(row: Row) -> str:
    if row.accuracy is None:
        return str(row.not_done)
    spread = "" if row.accuracy_sd is None else f" ±{100 * row.accuracy_sd:.1f}"
    return f"{100 * row.accuracy:.1f}{spread}"


def _interval(row: Row) -> str:
    if row.gain_ci95 is None:
        return ""
    low, high = row.gain_ci95
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: shown on terminals of at least `from_width` characters."""

    name: str
    says: Callable[[Row], str]
    from_width: int = 0


COLUMNS = (
    Column("method", lambda row: str(row.method)),
    Column("shots", lambda row: str(row.shots or "")),
    Column("seeds", lambda row: str(row.seeds), 110),
    Column("accuracy %", _accuracy),
    Column("gain", lambda row: "" if row.gain is None else f"{100 * row.gain:+.1f}"),
    Column("95 % interval", _interval),
    Column("memory", lambda row: _size(row.peak_memory_bytes)),
    Column("seconds", lambda row: "" if row.seconds is None else f"{row.seconds:.1f}"),
    Column("passes", lambda row: f"{row.forward_passes:,} + {row.backward_passes:,}", 134),
    Column("trained", lambda row: f"{row.trainable_parameters:,}", 110),
    Column("ships", lambda row: _size(row.artifact_bytes), 110),
    Column(
        "slower",
        lambda row: "" if row.inference_overhead is None else f"{row.inference_overhead:+.0%}",
        110,
    ),
)


def run(request: CompareRequest, reporter: Reporter = SILENT) -> Comparison | Estimate:
    """Compare the methods, or only predict the memory that they would take."""
    return run_estimate(request) if request.estimate else run_compare(request, reporter)


def summary(result: Comparison | Estimate) -> str:
    """The one sentence that `--quiet` prints."""
    if isinstance(result, Estimate):
        return f"{result.footprints[0].training / 2**30:.2f} GiB to train"
    return result.summary


def show(result: Comparison | Estimate, to: Console) -> None:
    """The table, or the prediction."""
    if isinstance(result, Estimate):
        show_estimate(result, to)
    else:
        show_compare(result, to)
