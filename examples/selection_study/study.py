"""Which rule should choose the layer? Measured by resampling probing sets from full sweeps.

    python examples/selection_study/study.py examples/selection_study/scores.npz --out study

For each task, number of shots and rule: draw a probing set at random a thousand times, choose,
and judge the choice on the items not drawn. Reported over tasks (each weighs the same): mean gain,
its standard error over tasks, share of runs that lose more than a point, share of runs that act,
and regret to the layer that is best on those same unseen items.

Rules with a threshold on t are shown for several; the one made the default is chosen on all tasks
but one and judged on that one, for each task in turn ("threshold left out"), so its number is not
the best of several on the same data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from left_out import report
from tables import attention_tables

from talo_export.evidence.analyses.shots import MARKERS, SERIES, Trials
from talo_export.evidence.canvas import FAINT, figure, zero_line
from talo_export.evidence.criteria import CRITERIA, KEPT, WITH_SCORES, Criterion, choose
from talo_export.evidence.differences import (
    Differences,
    differences,
    moments_of_subsets,
    random_subsets,
)

SHOTS = (10, 15, 20, 50, 100)
THRESHOLDS = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0)
LEAST_UNSEEN = 20
"""Items left to judge a choice by; a task with fewer has no say at that number of shots."""
PAPER = "accuracy > 0, first layer on ties (the paper's rule)"
TIES = "the same, ties by the margin"
DEFAULT = f"default ({WITH_SCORES})"
FAMILY = "margin where accuracy does not fall"
ALSO_ACCURACY = "margin where accuracy gains"
LEFT_OUT = f"{FAMILY}, threshold left out"
ELSEWHERE = "no probing: best layer on the other tasks"
HARM_WEIGHT = 1.0
"""The threshold is chosen by mean gain minus this much times the mean of the losses' sizes:
losing a point is taken to be twice as bad as gaining one is good."""


@dataclass(frozen=True)
class Line:
    """One rule at one number of shots over all tasks; points and percent."""

    rule: str
    shots: int
    tasks: int
    gain: float
    gain_error: float
    hurts: float
    acts: float
    regret: float


def rules() -> dict[str, Criterion]:
    """Every rule by its name in the tables."""
    found = {TIES: CRITERIA["accuracy"], DEFAULT: CRITERIA[WITH_SCORES]}
    families = {measure: CRITERIA[measure] for measure in ("accuracy", "probability", "margin")}
    families |= {
        f"{measure} where accuracy {says}": replace(families[measure], least_accuracy=least)
        for measure in ("probability", "margin")
        for says, least in (("does not fall", KEPT), ("gains", 0.0))
    }
    for name, plain in families.items():
        for least in THRESHOLDS:
            found[f"{name}, t > {least:g}"] = replace(plain, min_t=least)
    return found


def simulate(
    sweeps: Mapping[str, Differences], runs: int
) -> dict[tuple[str, int], dict[str, Trials]]:
    """(rule, shots) -> task -> trials. All rules see the same probing sets."""
    found: dict[tuple[str, int], dict[str, Trials]] = {}
    for task, sweep in sweeps.items():
        others = [other for name, other in sweeps.items() if name != task]
        elsewhere = int(np.mean([other.accuracy.mean(axis=0) for other in others], axis=0).argmax())
        for shots in SHOTS:
            if sweep.n_items - shots < LEAST_UNSEEN:
                continue
            drawn = random_subsets(sweep.members, shots, runs, np.random.default_rng(shots))
            moments = moments_of_subsets(sweep, drawn)
            unseen = 1.0 - drawn
            gains = (unseen @ sweep.accuracy) / unseen.sum(axis=1, keepdims=True)
            best = np.maximum(gains.max(axis=1), 0.0)
            chosen = {name: choose(rule, moments) for name, rule in rules().items()}
            first = moments.accuracy.mean.argmax(axis=1)
            chosen[PAPER] = np.where(moments.accuracy.mean.max(axis=1) > 0, first, -1)
            chosen[ELSEWHERE] = np.full(runs, elsewhere)
            for name, layer in chosen.items():
                gain = np.take_along_axis(gains, np.maximum(layer, 0)[:, None], axis=1)[:, 0]
                found.setdefault((name, shots), {})[task] = Trials(
                    shots, layer, np.where(layer >= 0, gain, 0.0), best
                )
    return found


def leave_threshold_out(
    found: dict[tuple[str, int], dict[str, Trials]], family: str
) -> dict[tuple[str, int], dict[str, Trials]]:
    """For each task the threshold that did best on all other tasks and shots."""
    names = [f"{family}, t > {least:g}" for least in THRESHOLDS]
    tasks = sorted({task for by_task in found.values() for task in by_task})

    def value(name: str, task: str) -> float:
        gains = [by[task].gain for (rule, _), by in found.items() if rule == name and task in by]
        return float(np.mean([g.mean() - HARM_WEIGHT * np.maximum(-g, 0).mean() for g in gains]))

    values = {(name, task): value(name, task) for name in names for task in tasks}
    judged: dict[tuple[str, int], dict[str, Trials]] = {}
    for task in tasks:
        best = max(names, key=lambda n: sum(values[n, other] for other in tasks if other != task))
        for (rule, shots), by_task in found.items():
            if rule == best and task in by_task:
                judged.setdefault((LEFT_OUT, shots), {})[task] = by_task[task]
    return judged


def summarise(found: dict[tuple[str, int], dict[str, Trials]]) -> list[Line]:
    """Averages over tasks."""
    lines = []
    for (rule, shots), by_task in found.items():
        gains = np.array([100 * trials.gain.mean() for trials in by_task.values()])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
        lines.append(
            Line(
                rule=rule,
                shots=shots,
                tasks=len(by_task),
                gain=float(gains.mean()),
                gain_error=float(error),
                hurts=100 * float(np.mean([trials.hurts for trials in by_task.values()])),
                acts=100 * float(np.mean([trials.acts for trials in by_task.values()])),
                regret=100 * float(np.mean([trials.regret for trials in by_task.values()])),
            )
        )
    return lines


def table(lines: list[Line]) -> str:
    """Markdown: gain ± its error / hurts / acts / regret, a column for each number of shots."""
    shots = sorted({line.shots for line in lines})
    tasks = {s: max(line.tasks for line in lines if line.shots == s) for s in shots}
    head = "| rule | " + " | ".join(f"{s} shots ({tasks[s]} tasks)" for s in shots) + " |"
    rows = [head, "|---" * (len(shots) + 1) + "|"]
    at = {(line.rule, line.shots): line for line in lines}
    for rule in dict.fromkeys(line.rule for line in lines):
        cells = []
        for s in shots:
            line = at.get((rule, s))
            cells.append(
                ""
                if line is None
                else f"{line.gain:+.2f} ± {line.gain_error:.2f} / {line.hurts:.0f} % / "
                f"{line.acts:.0f} % / {line.regret:.1f}"
            )
        rows.append(f"| {rule} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def against_paper(found: dict[tuple[str, int], dict[str, Trials]]) -> str:
    """Markdown: the default and its neighbours against the paper's rule, task by task."""
    rows = ["| rule | shots | tasks | gain more | hurts less | tasks better / worse in gain |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for rule in (DEFAULT, "margin, t > 1.5", f"{ALSO_ACCURACY}, t > 1"):
        for shots in SHOTS:
            by_task = found.get((rule, shots), {})
            paper = found.get((PAPER, shots), {})
            if len(by_task) < 2:
                continue
            more = np.array([100 * (t.gain.mean() - paper[k].gain.mean())
                             for k, t in by_task.items()])  # fmt: skip
            less = np.array([100 * (paper[k].hurts - t.hurts) for k, t in by_task.items()])
            cells = [
                f"{one.mean():+.2f} ± {one.std(ddof=1) / np.sqrt(len(one)):.2f}"
                for one in (more, less)
            ]
            better, worse = int((more > 0).sum()), int((more < 0).sum())
            rows.append(f"| {rule} | {shots} | {len(more)} | {cells[0]} points | {cells[1]} % | "
                        f"{better} / {worse} |")  # fmt: skip
    return "\n".join(rows)


def draw(lines: list[Line], path: Path) -> None:
    """Gain and harm against shots for the rules that matter."""
    shown = [PAPER, DEFAULT, "probability, t > 2", "margin, t > 0", f"{ALSO_ACCURACY}, t > 1"]
    with figure(path, 8.6, 3.9, svg=True) as drawing:
        drawing.suptitle("SmolLM2-135M: which rule should choose the layer?", x=0.01, ha="left",
                         fontsize=11, fontweight="bold")  # fmt: skip
        left, right = drawing.subplots(1, 2)
        for i, rule in enumerate(shown):
            points = sorted((x for x in lines if x.rule == rule), key=lambda x: x.shots)
            shots = [x.shots for x in points]
            left.errorbar(shots, [x.gain for x in points], yerr=[x.gain_error for x in points],
                          color=SERIES[i], marker=MARKERS[i], elinewidth=0.7)  # fmt: skip
            right.plot(shots, [x.hurts for x in points], color=SERIES[i], marker=MARKERS[i],
                       label=rule)  # fmt: skip
        zero_line(left)
        right.set_ylim(bottom=0)
        ticks = sorted({x.shots for x in lines})
        tasks = {x.shots: x.tasks for x in sorted(lines, key=lambda x: x.tasks)}
        said_of = ", ".join(f"{tasks[s]} at {s}" for s in ticks)
        for axes, said in ((left, "mean gain on unseen items (points)"),
                           (right, "runs that lose more than a point (%)")):  # fmt: skip
            axes.grid(color=FAINT, linewidth=0.6)
            axes.set_xscale("log")
            axes.set_xticks(ticks, [str(s) for s in ticks])
            axes.minorticks_off()
            axes.set_xlabel("shots (probing items)")
            axes.set_ylabel(said)
        left.set_title(f"tasks: {said_of}; bars: standard error over tasks", fontsize=8.5)
        drawing.legend(loc="outside lower center", ncols=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=1000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tables, _ = attention_tables(arguments.scores)
    sweeps = {name: differences(one) for name, one in tables.items()}
    found = simulate(sweeps, arguments.runs)
    lines = summarise(found | leave_threshold_out(found, FAMILY))
    judged = report(found, list(rules()), PAPER, DEFAULT)
    text = f"{table(lines)}\n\n{against_paper(found)}\n\n{judged}\n"
    (arguments.out / "table.md").write_text(text)
    (arguments.out / "study.json").write_text(
        json.dumps([asdict(line) for line in lines], indent=1) + "\n"
    )
    draw(lines, arguments.out / "study.png")
    print(text)


if __name__ == "__main__":
    main()
