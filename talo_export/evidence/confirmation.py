"""Confirm a chosen knockout on items that took no part in choosing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from talo_export.codec import Field, Recorded
from talo_export.errors import TaloError
from talo_export.evidence.paired import LEVEL, accuracy_clusters, judged_gain, right, seen_by_both
from talo_export.knockout import Knockout
from talo_export.probing.scores import ScoreTable
from talo_export.wording import p_value, percent, points, signed

Verdict = Literal["confirmed", "unconfirmed", "harmful", "keep the base"]


@dataclass(frozen=True)
class Confirmation(Recorded):
    """What the unseen items say. Shares in [0, 1] (gains in [-1, 1]); None where not applicable."""

    n: int
    """Items answered by both the base and the knockout."""
    base_accuracy: float | None
    accuracy: float | None
    gain: float | None
    ci95: tuple[float, float] | None
    """Paired interval of the gain at `level`; see `paired.gain_interval`."""
    p_value: float | None
    """Exact, two-sided, paired; see `paired.sign_flip_p_value`."""
    verdict: Verdict
    level: float
    groups: int
    """Independent groups among the items (items sharing an image are one)."""
    turned_right: int = 0
    turned_wrong: int = 0
    turned_right_unread: int = 0
    """Of those turned right, the ones where the base's answer could not be read."""
    constant_accuracy: float | None = None
    """What giving the same choice (A, B, ...) everywhere gets at best, as a share; None where some
    items have no choices."""
    knockout: Annotated[Knockout | None, Field(exclude=True)] = None

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        if self.knockout is None:
            return "Keep the base: no layer was selected, so there was nothing to confirm."
        assert self.gain is not None
        assert self.ci95 is not None
        assert self.p_value is not None
        low, high = self.ci95
        tail = {
            "confirmed": "the gain is confirmed",
            "unconfirmed": "the interval includes 0, so the gain is not confirmed",
            "harmful": "the knockout is harmful",
            "keep the base": "",
        }[self.verdict]
        return (
            f"Without layer {self.knockout.layer}: {points(self.gain)} on {self.n} "
            f"unseen items (paired {percent(self.level, 0)} interval {signed(low)} to "
            f"{signed(high)}, exact p {p_value(self.p_value)}): {tail}."
        )

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on what else the numbers may mean; none where they speak for themselves."""
        return tuple(text for text in (self._edge, self._reading) if text is not None)

    @property
    def no_better_than_constant(self) -> bool:
        """Whether the base mostly gave none of the choices, and the knockout's are worth no more
        than the same one everywhere: exact, one-sided, 2.5 %."""
        constant = self.constant_accuracy
        if constant is None or self.accuracy is None or not self._gives_choices_at_all:
            return False
        from scipy.special import bdtrc

        right = round(self.accuracy * self.n)
        return bool(bdtrc(right - 1, self.n, constant) > (1 - self.level) / 2)

    @property
    def _gives_choices_at_all(self) -> bool:
        """Whether most of what turned right had given none of the choices before."""
        gains = self.gain is not None and self.gain > 0
        # Runs of an earlier version did not count them.
        return gains and 2 * self.turned_right_unread >= max(self.turned_right, 1)

    @property
    def _edge(self) -> str | None:
        """The interval is a bootstrap, the test exact: near 5 % they may fall on two sides."""
        if self.ci95 is None or self.p_value is None:
            return None
        includes = self.ci95[0] <= 0 <= self.ci95[1]
        if (self.p_value < 0.05) != includes:
            return None
        return (
            f"The paired interval {'includes' if includes else 'excludes'} 0 and the exact test "
            f"says p {p_value(self.p_value)}: this is at the edge of what so many items can show."
        )

    @property
    def _reading(self) -> str | None:
        """A model may gain by giving one of the choices, as another prompt may make it do."""
        if not self._gives_choices_at_all:
            return None
        constant = self.constant_accuracy
        same = "" if constant is None else f"; the same everywhere gets {percent(constant, 0)}"
        return (
            f"Of {self.turned_right} answers that turned right, {self.turned_right_unread} gave "
            "none of the choices before: the gain may lie in giving one at all, more than in "
            f"knowing which{same}. --scoring likelihood compares the choices alone."
        )


def confirm(table: ScoreTable, knockout: Knockout | None, *, seed: int) -> Confirmation:
    """Judge a knockout on a table of confirmation items; `knockout=None` keeps the base.

    The verdict follows the interval alone: above 0 "confirmed", below 0 "harmful", else
    "unconfirmed". The caller answers for the items being unseen. Raises TaloError where base and
    knockout share no item.
    """
    base, answers = table.row(None), right(table)
    if knockout is None:
        seen = np.flatnonzero(table.scored[base])
        return Confirmation(
            n=len(seen),
            base_accuracy=float(answers[base].sum() / len(seen)) if len(seen) else None,
            accuracy=None,
            gain=None,
            ci95=None,
            p_value=None,
            verdict="keep the base",
            level=LEVEL,
            groups=len({table.groups[column] for column in seen}),
        )
    if knockout not in table.variants:
        raise TaloError(
            f"The confirmation items were never scored with layer {knockout.layer} knocked out "
            f"({knockout.scope}, {knockout.fill}). Score them first."
        )
    both = seen_by_both(table, knockout)
    clusters = accuracy_clusters(table, knockout)
    before, after = answers[base][both], answers[table.row(knockout)][both]
    turned_right = after & ~before
    gain, interval, p = judged_gain(clusters, seed=seed)
    return Confirmation(
        n=len(before),
        base_accuracy=float(before.mean()),
        accuracy=float(after.mean()),
        gain=gain,
        ci95=interval,
        p_value=p,
        verdict=verdict_of(interval),
        level=LEVEL,
        groups=len(clusters),
        turned_right=int(turned_right.sum()),
        turned_wrong=int((before & ~after).sum()),
        turned_right_unread=int((turned_right & ~table.parsed[base][both]).sum()),
        constant_accuracy=float(np.bincount(table.gold[both]).max() / len(before))
        if table.n_choices[both].all()
        else None,
        knockout=knockout,
    )


def verdict_of(interval: tuple[float, float]) -> Verdict:
    """What an interval of a gain says."""
    low, high = interval
    if low > 0:
        return "confirmed"
    return "harmful" if high < 0 else "unconfirmed"
