"""`talo-export probe`: the main job, on one task or on many."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from talo_export.commands.many import means_many, show_failures
from talo_export.commands.probe_task import run_probe
from talo_export.commands.probe_tasks import ManyResult, TaskRow, run_probes
from talo_export.evidence.layer_strip import strip
from talo_export.probing.distributed import joined_world
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.measurements import ProbeRequest
from talo_export.runs.result import ProbeResult
from talo_export.wording import interval, p_value, percent, points

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.probing.cost import Cost
    from talo_export.runs.result import ProbeResult


NO_BREAK = "\u00a0"

_COLOURS = {"confirmed": "green", "harmful": "red"}


def show_probe(result: ProbeResult, to: Console) -> None:
    """Print it as a page of sentences and one strip of bars."""
    probe, confirmation, chosen = result.probe, result.confirmation, result.selected_layer
    # The task comes first: one name can mean the demo's task or a benchmark's.
    _row(
        to,
        "task",
        f"{result.task}, {result.task_items} items from {result.task_source}, "
        f"scored by {result.scoring}, chance {percent(result.chance, 0)}",
    )
    _row(to, "model", f"{result.model}, {result.layers} decoder layers")
    _row(to, "probe", f"{probe.n} items, base {percent(probe.base_accuracy)}")
    gains = [None if gain is None else 100 * gain for gain in probe.gains]
    to.print()
    _row(to, "", "points of accuracy gained without each layer's attention", style="dim")
    for line in strip(gains, width=to.width - 8, chosen=chosen):
        to.print("        ", line, sep="")
    to.print()
    if any(probe.unparsed):
        worst = max(count or 0 for count in probe.unparsed)
        _row(to, "", f"unreadable answers: up to {worst} of {probe.n} for one layer")
    if result.too_long:
        _row(to, "", f"{len(result.too_long)} items longer than the context were left out")
    if any(probe.non_finite):
        layers = [str(layer) for layer, count in enumerate(probe.non_finite) if count]
        _row(to, "", f"NaN or Inf among the logits without layer {', '.join(layers)}")
    _row(to, "choice", probe.reason)
    if confirmation is not None:
        _row(
            to,
            "confirm",
            f"{confirmation.n} other items: {percent(confirmation.base_accuracy)} -> "
            f"{percent(confirmation.accuracy)}, {points(confirmation.gain)}, "
            f"paired {interval(confirmation.ci95)}, exact p {p_value(confirmation.p_value)}",
        )
        if confirmation.edge is not None:
            _row(to, "", confirmation.edge)
    for sentence in () if result.evidence is None else result.evidence.sentences:
        _row(to, "", sentence)
    # Why the base is kept was said as the choice.
    keeps = result.verdict == "keep the base"
    verdict = "keep the base" if keeps else summary(result)
    _row(to, "verdict", verdict, style=_COLOURS.get(result.verdict or "", ""))
    if result.checkpoint is not None:
        _row(to, "wrote", str(result.checkpoint))
    if result.proof is not None:
        proof = result.proof
        _row(
            to,
            "proof",
            f"{proof.tensors_filled} tensors filled, {proof.tensors_identical} identical; "
            f"a fresh process loaded it with stock transformers and answered "
            f"{proof.answers_equal} of {proof.answers} items as the probe did",
        )
    _row(to, "cost", _cost(result.cost))
    _row(to, "run", str(result.run))


def probe_summary(result: ProbeResult) -> str:
    """What the run says, in the one sentence that `--quiet` prints."""
    layer, found = result.selected_layer, result.confirmation
    if result.confirm is None:
        return "every item was swept (--shots all): nothing was selected or confirmed."
    if layer is None or found is None:
        return f"keep the base: {result.probe.reason}"
    gain = f"{points(found.gain)} on {found.n} items never probed"
    if found.verdict == "confirmed":
        return f"confirmed: knocking out layer {layer}'s attention gives {gain}."
    if found.verdict == "unconfirmed":
        return f"unconfirmed: layer {layer} gives {gain}, and the interval includes 0."
    return (
        f"harmful: layer {layer} looked good on the probing items but gives {gain}; "
        "no checkpoint was written."
    )


def _cost(cost: Cost) -> str:
    naive = cost.layer_evaluations_naive
    spared = f" instead of {naive:,}" if naive > cost.layer_evaluations else ""
    return (
        f"{cost.layer_evaluations:,} layer evaluations{spared}, "
        f"{cost.vision_evaluations:,} of the vision tower, {cost.seconds:.0f} s, "
        f"peak memory {cost.peak_memory_bytes / 2**30:.1f} GiB"
    )


def _row(to: Console, label: str, text: str, style: str = "") -> None:
    """A label and its text, the text's own lines hanging under each other."""
    from rich.text import Text

    # Wrapped here and not by a table, which would fill every line with blanks up to its width.
    # A number and its sign stay together.
    tied = text.replace(" %", f"{NO_BREAK}%")
    lines = wrap(tied, max(20, to.width - 8), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        head = label if number == 0 else ""
        to.print(Text.assemble((f"{head:<7} ", "dim"), (line.replace(NO_BREAK, " "), style)))


NARROW = 100
"""Columns of a terminal below which the table does with fewer of its own."""


_COLOURS = {"confirmed": "green", "harmful": "red"}


def show_many(many: ManyResult, to: Console) -> None:
    """Print the table of `probe --task 'PATTERN'`."""
    from rich.table import Table
    from rich.text import Text

    narrow = to.width < NARROW
    heads = ("base", "layer, gain") if narrow else ("items", "base", "best layer", "probe gain")
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("task", overflow="fold")
    for name in (*heads, "confirmed gain"):
        table.add_column(name, justify="right")
    table.add_column("verdict", overflow="fold")
    for row in many.tasks:
        layer, gain = _best(row)
        base = "-" if row.base_accuracy is None else percent(row.base_accuracy)
        table.add_row(
            row.task,
            *((base, f"{layer} {gain}") if narrow else (f"{row.items:,}", base, layer, gain)),
            _confirmed(row),
            Text(row.verdict or "not asked", style=_COLOURS.get(row.verdict or "", "")),
        )
    to.print(table)
    to.print(
        "gains in points of accuracy, with paired 95 % intervals on items never probed; where the "
        "base was kept, its accuracy is on the probing items, and what led them is in parentheses",
        style="dim",
    )
    to.print(many_summary(many))
    if many.discoveries:
        to.print(many.discoveries.sentence)
    show_failures(many.failed, to)
    to.print(f"wrote {many.table} and {many.table_json}")
    if many.failures:
        to.print(f"tracebacks of what nobody foresaw: {many.failures}")


def many_summary(many: ManyResult) -> str:
    """One sentence: how many of each verdict."""
    verdicts: list[str] = [row.verdict or "" for row in many.tasks]
    counted = ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(filter(None, verdicts))
    )
    failed = f", {len(many.failed)} failed" if many.failed else ""
    noun = "task" if len(verdicts) == 1 else "tasks"
    return f"{len(verdicts)} {noun}: {counted or 'nothing selected'}{failed}"


def _best(row: TaskRow) -> tuple[str, str]:
    """The chosen layer and its gain on the probing items; in parentheses the one that led them."""
    if row.layer is not None:
        return str(row.layer), _points(row.probe_gain)
    if row.best_layer is None:
        return "-", "-"
    return f"({row.best_layer})", f"({_points(row.best_probe_gain)})"


def _confirmed(row: TaskRow) -> str:
    if row.layer is None or row.gain is None:
        return "-"
    return f"{_points(row.gain)} [{_points(row.ci_low)}, {_points(row.ci_high)}]"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"


def run(request: ProbeRequest, reporter: Reporter = SILENT) -> ProbeResult | ManyResult:
    """Probe a task, or every task that the name means; started by several processes, as one."""
    with joined_world() as world:
        if means_many(request.task):
            return run_probes(request, reporter, world)
        return run_probe(request, reporter, world)


def summary(result: ProbeResult | ManyResult) -> str:
    """The one sentence that `--quiet` prints."""
    return many_summary(result) if isinstance(result, ManyResult) else probe_summary(result)


def show(result: ProbeResult | ManyResult, to: Console) -> None:
    """The result, or the table of many."""
    if isinstance(result, ManyResult):
        show_many(result, to)
    else:
        show_probe(result, to)


def exit_status(result: ProbeResult | ManyResult) -> int:
    """1 where a task of many could not be done."""
    return 1 if isinstance(result, ManyResult) and result.failed else 0
