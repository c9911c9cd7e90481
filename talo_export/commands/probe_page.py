"""What a finished probe leaves in front of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.evidence.layer_strip import strip
from talo_export.foreign_text import visible
from talo_export.knockout import part_of
from talo_export.publish.next_steps import next_steps
from talo_export.runs.directory import RunDirectory
from talo_export.runs.result import Evidence, ProbeResult, sentence
from talo_export.wording import interval, one_line, p_value, percent, points, signed

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.probing.cost import Cost

NO_BREAK = "\ue000"
"""A character for private use, one column wide, that no line ends at."""
SHOWN = 200
"""Characters of a question or an answer."""
COLOURS = {"confirmed": "green", "harmful": "red"}


def show_probe(result: ProbeResult, to: Console) -> None:
    """Print sentences and one strip of bars; what matters most is at the end, above the prompt."""
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
    ceiling = f"{signed(1 - probe.base_accuracy)} would be all right"
    _row(to, "", f"points gained without {part_of('each layer', result.scope)}; {ceiling}", "dim")
    for line in strip(gains, width=to.width - 8, chosen=chosen):
        line.rstrip()
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
        for caveat in confirmation.caveats:
            _row(to, "", caveat)
    evidence = result.evidence or Evidence()
    for part in (evidence.calibration, evidence.cross_validation):
        if part is not None:
            _row(to, "", sentence(part))
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
    to.print()
    _show_end(result, to)


def _show_end(result: ProbeResult, to: Console) -> None:
    """What came out, an item of it, where everything is, and what to do with it."""
    _row(to, "result", f"{result.finding}.", style=f"bold {COLOURS.get(result.verdict or '', '')}")
    if result.verdict == "keep the base":
        _row(to, "", "Nothing was cut and no checkpoint was written.")
    if result.evidence is not None and result.evidence.null is not None:
        _row(to, "", sentence(result.evidence.null))
    example = result.example
    if example is not None and result.knockout is not None:
        turned = "right" if example.turned_right else "wrong"
        _row(to, "example", _short(example.question))
        _row(to, "", f"base: {_short(example.base_answer)}")
        _row(to, "", f"{result.knockout.without}: {_short(example.answer)} ({turned})")
    run = RunDirectory(result.run)
    for label, file in (("files", run.plot), ("", run.page), ("", result.checkpoint)):
        if file is not None:
            _line(to, label, str(file))
    for label, line in next_steps(result):
        if label != "check":
            _line(to, label, line)


def _short(text: str) -> str:
    line = visible(one_line(text))
    return (line if len(line) <= SHOWN else f"{line[:SHOWN]} ...") or "(nothing)"


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
    tied = Text(text.replace(" %", f"{NO_BREAK}%"))
    for number, line in enumerate(tied.wrap(to, max(20, to.width - 8))):
        head, words = label if number == 0 else "", line.plain.rstrip().replace(NO_BREAK, " ")
        to.print(Text.assemble((f"{head:<7} ", "dim"), (words, style)))


def _line(to: Console, label: str, line: str) -> None:
    """A label and what is to be copied, which no line end of ours may divide."""
    from rich.text import Text

    to.print(Text.assemble((f"{label:<7} ", "dim"), visible(line)), soft_wrap=True)
