"""The result of a probe, for a person: what was asked, found, confirmed and written."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from talo_export.cli.strip import strip
from talo_export.wording import percent

if TYPE_CHECKING:
    from rich.console import Console

NO_BREAK = "\u00a0"

_COLOURS = {"confirmed": "green", "harmful": "red"}


def show_probe(document: dict[str, Any], to: Console) -> None:
    """Print the document of `probe --json` as a page of sentences and one strip of bars."""
    probe, confirm = document["probe"], document["confirm"]
    chosen = document["selected_layer"]
    # The task comes first: one name can mean the demo's task or a benchmark's.
    _row(
        to,
        "task",
        f"{document['task']}, {document['task_items']} items from {document['task_source']}, "
        f"scored by {document['scoring']}, chance {percent(document['chance'], 0)}",
    )
    _row(to, "model", f"{document['model']}, {document['layers']} decoder layers")
    _row(to, "probe", f"{probe['n']} items, base {percent(probe['base_accuracy'])}")
    gains = [None if gain is None else 100 * gain for gain in probe["gains"]]
    to.print()
    _row(to, "", "points of accuracy gained without each layer's attention", style="dim")
    for line in strip(gains, width=to.width - 8, chosen=chosen):
        to.print("        ", line, sep="")
    to.print()
    if any(probe["unparsed"]):
        worst = max(count or 0 for count in probe["unparsed"])
        _row(to, "", f"unreadable answers: up to {worst} of {probe['n']} for one layer")
    if document["too_long"]:
        _row(to, "", f"{len(document['too_long'])} items longer than the context were left out")
    if any(probe["non_finite"]):
        worst = [layer for layer, count in enumerate(probe["non_finite"]) if count]
        _row(to, "", f"NaN or Inf among the logits without layer {', '.join(map(str, worst))}")
    _row(to, "choice", probe["reason"])
    if confirm is not None and chosen is not None:
        low, high = confirm["ci95"]
        _row(
            to,
            "confirm",
            f"{confirm['n']} other items: {percent(confirm['base_accuracy'])} -> "
            f"{percent(confirm['accuracy'])}, {100 * confirm['gain']:+.1f} points, "
            f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}, p = {confirm['p_value']:.2g}",
        )
    for said in _meaning(document.get("evidence") or {}):
        _row(to, "", said)
    # Why the base is kept was said as the choice.
    verdict = "keep the base" if _word(document) == "keep the base" else _verdict(document)
    _row(to, "verdict", verdict, style=_COLOURS.get(_word(document), ""))
    if document["checkpoint"] is not None:
        _row(to, "wrote", document["checkpoint"])
        proof = document["proof"]
        _row(
            to,
            "proof",
            f"{proof['tensors_filled']} tensors filled, {proof['tensors_identical']} identical; "
            f"a fresh process loaded it with stock transformers and answered "
            f"{proof['answers_equal']} of {proof['answers']} items as the probe did",
        )
    _row(to, "cost", _cost(document["cost"]))
    _row(to, "run", document["run"])


def summary(document: dict[str, Any]) -> str:
    """The one sentence that `--quiet` prints."""
    return _verdict(document)


def _word(document: dict[str, Any]) -> str:
    return "not asked" if document["confirm"] is None else str(document["confirm"]["verdict"])


def _verdict(document: dict[str, Any]) -> str:
    """What the run says, in a sentence."""
    layer, confirm = document["selected_layer"], document["confirm"]
    if confirm is None:
        return "every item was swept (--shots all): nothing was selected or confirmed."
    if layer is None:
        return f"keep the base: {document['probe']['reason']}"
    gain = f"{100 * confirm['gain']:+.1f} points on {confirm['n']} items never probed"
    return {
        "confirmed": f"confirmed: knocking out layer {layer}'s attention gives {gain}.",
        "unconfirmed": f"unconfirmed: layer {layer} gives {gain}, and the interval includes 0.",
        "harmful": f"harmful: layer {layer} looked good on the probing items but gives {gain}; "
        "no checkpoint was written.",
    }[confirm["verdict"]]


def _meaning(evidence: dict[str, Any]) -> list[str]:
    """What the scores mean beyond the confirmation, a sentence each."""
    parts = ("calibration", "null", "cross_validation")
    said = [evidence[part]["sentence"] for part in parts if evidence.get(part)]
    return [f"{sentence.removesuffix('.')}." for sentence in said]


def _cost(cost: dict[str, Any]) -> str:
    naive = cost["layer_evaluations_naive"]
    spared = f" instead of {naive:,}" if naive > cost["layer_evaluations"] else ""
    return (
        f"{cost['layer_evaluations']:,} layer evaluations{spared}, "
        f"{cost['vision_evaluations']:,} of the vision tower, {cost['seconds']:.0f} s, "
        f"peak memory {cost['peak_memory_bytes'] / 2**30:.1f} GiB"
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
