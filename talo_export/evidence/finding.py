"""What a run says, in one sentence: the same on its picture, in the terminal and on its page."""

from __future__ import annotations

from talo_export.evidence.confirmation import Confirmation
from talo_export.evidence.selection import Selection
from talo_export.wording import count, percent, points


def finding(selection: Selection, confirmation: Confirmation | None) -> str:
    """Base and knockout on unseen items, or that the base is kept; without a full stop."""
    knockout = selection.knockout
    if knockout is None:
        best = max((gain for gain in selection.gains if gain is not None), default=0.0)
        earns = "no layer's cut is worth it" if best > 0 else "no layer gains anything"
        return f"Keep the base: {earns} on {count(selection.n, 'item')}"
    what = knockout.without.capitalize()
    if confirmation is None or confirmation.accuracy is None:
        gain = selection.gain or 0.0
        items = f"the {count(selection.n, 'item')} that chose it"
        return f"{what} {points(gain)} on {items}; none were left to judge it"
    before, after = confirmation.base_accuracy or 0.0, confirmation.accuracy
    # Whole per cents, unless they would hide the difference.
    digits = 0 if abs(after - before) >= 0.02 or after == before else 1
    becomes = "stay" if after == before else "become"
    same = ", no more than one choice everywhere gets" * confirmation.no_better_than_constant
    verdict = {"unconfirmed": ": not confirmed", "harmful": ": it harms"}
    tail = same + verdict.get(confirmation.verdict, "")
    return (
        f"{what} {percent(before, digits)} {becomes} {percent(after, digits)} "
        f"on {count(confirmation.n, 'item')} it never saw{tail}"
    )
