"""A rule chosen on some tasks and judged on others, against the paper's rule.

All rules were tried on the same tasks; the best of many looks better than it is. Here the rule is
chosen as one would: the largest mean gain among those that lose more than a point less often than
the paper's. What is stated is what the choice does on tasks that had no say in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talo_export.evidence.analyses.shots import Trials

Found = Mapping[tuple[str, int], Mapping[str, Trials]]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Advantage:
    """(rules, tasks, shots) over the paper's rule, in points and percent; NaN where not judged."""

    rules: tuple[str, ...]
    tasks: tuple[str, ...]
    shots: tuple[int, ...]
    gain: Array
    spared: Array
    """How much less often a choice loses more than a point."""

    def of(self, rule: str) -> tuple[Array, Array]:
        """(T,) means over the numbers of shots."""
        row = self.rules.index(rule)
        return np.nanmean(self.gain[row], axis=1), np.nanmean(self.spared[row], axis=1)

    def best(self, tasks: Sequence[int]) -> int:
        """The rule these tasks would choose."""
        chosen = list(tasks)
        gain = np.nanmean(self.gain[:, chosen], axis=2).mean(axis=1)
        spared = np.nanmean(self.spared[:, chosen], axis=2).mean(axis=1)
        return int(np.where(spared > 0, gain, -np.inf).argmax())


def advantage(found: Found, rules: Sequence[str], paper: str) -> Advantage:
    """What every rule does more than the paper's, task by task."""
    shots = sorted({s for _, s in found})
    tasks = sorted({task for by_task in found.values() for task in by_task})
    gain = np.full((len(rules), len(tasks), len(shots)), np.nan)
    spared = gain.copy()
    for i, rule in enumerate(rules):
        for k, s in enumerate(shots):
            for j, task in enumerate(tasks):
                if task in found[rule, s]:
                    one, other = found[rule, s][task], found[paper, s][task]
                    gain[i, j, k] = 100 * (one.gain.mean() - other.gain.mean())
                    spared[i, j, k] = 100 * (other.hurts - one.hurts)
    return Advantage(tuple(rules), tuple(tasks), tuple(shots), gain, spared)


def report(found: Found, rules: Sequence[str], paper: str, default: str, splits: int = 2000) -> str:
    """Markdown: rules chosen on all tasks but one, and on one half of the tasks."""
    over = advantage(found, rules, paper)
    count = len(over.tasks)
    chosen = [over.best([t for t in range(count) if t != task]) for task in range(count)]
    gain = np.array([np.nanmean(over.gain[rule, task]) for task, rule in enumerate(chosen)])
    spared = np.array([np.nanmean(over.spared[rule, task]) for task, rule in enumerate(chosen)])
    names = Counter(over.rules[rule] for rule in chosen).most_common()
    rows = [
        "| against the paper's rule, all shots | gain more | hurts less | better in both |",
        "|---|---|---|---|",
        f"| {default}, all {count} tasks | {_row(*over.of(default))} |",
        f"| chosen on all tasks but the one judged | {_row(gain, spared)} |",
        f"| chosen on a half of the tasks, judged on the other | {_halves(over, None, splits)} |",
        f"| {default}, the same halves | {_halves(over, over.rules.index(default), splits)} |",
        "",
        "Chosen on all tasks but one: "
        + ", ".join(f"{name} ({times} of {count})" for name, times in names)
        + f". Better in both: of the tasks; of {splits:,} halves.",
    ]
    return "\n".join(rows)


def _row(gain: Array, spared: Array) -> str:
    both = f"{int(((gain > 0) & (spared > 0)).sum())} of {len(gain)}"
    return f"{_mean(gain)} points | {_mean(spared)} % | {both}"


def _mean(values: Array) -> str:
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"


def _halves(over: Advantage, rule: int | None, splits: int) -> str:
    rng = np.random.default_rng(0)
    judged = []
    for _ in range(splits):
        order = rng.permutation(len(over.tasks))
        half = len(order) // 2
        choice = over.best(order[:half]) if rule is None else rule
        rest = order[half:]
        judged.append(
            (np.nanmean(over.gain[choice, rest], axis=1).mean(),
             np.nanmean(over.spared[choice, rest], axis=1).mean())
        )  # fmt: skip
    gain, spared = np.array(judged).T
    both = f"{100 * np.mean((gain > 0) & (spared > 0)):.0f} %"
    return f"{gain.mean():+.2f} points | {spared.mean():+.2f} % | {both}"
