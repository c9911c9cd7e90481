"""What the table says, in sentences: who is ahead at each number of shots, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from talo_export.baselines.request import CellRequest, CellResult
from talo_export.baselines.summary import Row, paired_clusters
from talo_export.codec import Recorded, derived
from talo_export.evidence.paired import gain_interval
from talo_export.tasks.item import Task
from talo_export.wording import percent


@dataclass(frozen=True, slots=True)
class Verdict(Recorded):
    """The most accurate method at a number of shots, against its rival. Shares in [0, 1]."""

    shots: int
    best: str
    level: tuple[str, ...]
    """Other methods of exactly the same accuracy."""
    accuracy: float
    base_accuracy: float
    rival: str
    """The knockout; the base where the knockout is the best itself or was not tested."""
    lead: float | None
    """Accuracy of the best minus the rival's, paired; None where the base is the best."""
    lead_ci95: tuple[float, float] | None

    @derived
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        at = f"At {self.shots} shots"
        if self.best == "base":
            return f"{at} nothing beats the base ({percent(self.base_accuracy)})."
        head = (
            f"{at} {self.best} is the most accurate"
            f"{', level with ' + ' and '.join(self.level) if self.level else ''}: "
            f"{percent(self.accuracy)}, "
            f"the base {percent(self.base_accuracy)}"
        )
        if self.lead is None or self.lead_ci95 is None:
            return f"{head}."
        low, high = (100 * bound for bound in self.lead_ci95)
        sure = "" if low > 0 else ": the interval includes 0, so the lead is not sure"
        return (
            f"{head}, {100 * self.lead:+.1f} points from the {self.rival} "
            f"(95 % interval {low:+.1f} to {high:+.1f}{sure})."
        )


def verdicts(
    task: Task,
    requests: Sequence[CellRequest],
    results: Mapping[str, CellResult],
    rows: Sequence[Row],
    *,
    seed: int = 0,
) -> tuple[Verdict, ...]:
    """One verdict for each number of shots. Equal accuracies go to the earlier row: the base,
    then the knockout, then what costs more."""
    base = next((row for row in rows if row.method == "base"), None)
    if base is None or base.accuracy is None:
        return ()
    groups = {item.id: item.group for item in task.items}
    found = []
    for shots in sorted({row.shots for row in rows if row.shots}):
        tested = [base, *(r for r in rows if r.shots == shots and r.accuracy is not None)]
        best = max(tested, key=_accuracy)
        at_hand = {row.method for row in tested} - {best.method}
        rival = "knockout" if "knockout" in at_hand else "base"
        pairs = _pairs(requests, results, best, rival) if best is not base else []
        clusters = paired_clusters(pairs, groups) if pairs else None
        found.append(
            Verdict(
                shots=shots,
                best=best.method,
                accuracy=best.accuracy or 0.0,
                base_accuracy=base.accuracy,
                rival=rival,
                lead=None if clusters is None else clusters.mean,
                lead_ci95=None if clusters is None else gain_interval(clusters, seed=seed),
                level=tuple(
                    r.method for r in tested if r is not best and _accuracy(r) == _accuracy(best)
                ),
            )
        )
    return tuple(found)


def _accuracy(row: Row) -> float:
    """Rounded, so that means of the same answers are equal whatever the order of the seeds."""
    return round(row.accuracy or 0.0, 9)


def _pairs(
    requests: Sequence[CellRequest],
    results: Mapping[str, CellResult],
    best: Row,
    rival: str,
) -> list[tuple[CellResult, CellResult]]:
    """(rival, best) of each seed that has both. The base has one cell a seed, of 0 shots."""
    cells = {
        (r.method, r.seed): results[r.name]
        for r in requests
        if r.shots in (0, best.shots) and results[r.name].correct
    }
    return [
        (cells[(rival, seed)], cell)
        for (name, seed), cell in cells.items()
        if name == best.method and (rival, seed) in cells
    ]
