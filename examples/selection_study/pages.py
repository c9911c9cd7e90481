"""The tables and the figure of `families.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from talo_export.evidence.analyses.shots import MARKERS, SERIES
from talo_export.evidence.canvas import FAINT, INK, NEUTRAL, figure, zero_line

LEGEND = """Made by `families.py`; [the page](README.md) says what the families are.

*In short*: gain on unseen items in points ± standard error over tasks / runs that lose more than a
point / runs confirmed / gain of the whole procedure. *By number of shots*: passes a probing item;
runs that choose a cut; gain on the items that chose; `confirmed on`, tasks with a tenth of their
runs confirmed; the last two columns are of tasks whose items share their choices. *Task by task*:
`CUT: GAIN* (AFTER CALIBRATION) / UNSEEN`, the family's best cut on all of its items, * where
p < 0.05 corrected over the family, and what its choice from 20 items gains on the others."""
MODELS = {"gemma3": "Gemma 3 270M", "smollm2": "SmolLM2-135M-Instruct"}
"""By the names of their directories."""


@dataclass(frozen=True)
class Line:
    """One family on one task of a model; points, percent."""

    model: str
    family: str
    task: str
    shots: int
    labelled: int
    """Items that chose, those included that chose which heads and pairs were scored."""
    candidates: int
    passes: float
    """Layers run for one probing item, in plain forward passes of the model."""
    apparent: float
    gain: float
    acts: float
    hurts: float
    confirmed: float
    whole: float
    whole_hurts: float
    calibrated: float
    """NaN where choices are not shared."""


@dataclass(frozen=True)
class Best:
    """A family's best cut on all of its items, which also chose it; points."""

    cut: str
    gain: float
    p_gain: float
    """That no cut of the family gains, corrected over all of them."""
    calibrated: float
    """What is left of the gain after calibration; NaN where choices are not shared."""


@dataclass(frozen=True)
class Full:
    """One model and task, all items: points, percent."""

    model: str
    task: str
    items: int
    base: float
    calibrated_base: float
    """NaN where choices are not shared."""
    best: Mapping[str, Best]
    """By family."""


def write_pages(lines: Sequence[Line], full: Sequence[Full], out: Path) -> None:
    """`families.md`, `families.json` and `families.png`."""
    models = list(dict.fromkeys(line.model for line in lines))
    parts = [LEGEND, f"### In short\n\n{in_short(lines, models)}"]
    for model in models:
        for shots in sorted({line.shots for line in lines}):
            own = [x for x in lines if (x.model, x.shots) == (model, shots)]
            if own:
                parts.append(f"### {named(model)}, {shots} shots\n\n{by_family(own)}")
    for model in models:
        parts.append(f"### {named(model)}, task by task\n\n{by_task(model, lines, full)}")
    (out / "families.md").write_text("\n\n".join(parts) + "\n")
    facts = {"lines": [asdict(x) for x in lines], "full": [asdict(x) for x in full]}
    (out / "families.json").write_text(json.dumps(facts, indent=1).replace("NaN", "null") + "\n")
    draw(lines, models, out / "families.png")


def named(model: str) -> str:
    """What a model's directory stands for."""
    return MODELS.get(model, model)


def in_short(lines: Sequence[Line], models: Sequence[str]) -> str:
    """Markdown, a column a model and number of shots: gain / harms / confirmed / whole."""
    columns = [(model, shots) for model in models for shots in sorted({x.shots for x in lines})]
    heads = " | ".join(f"{named(model)}, {shots} shots" for model, shots in columns)
    rows = [f"| what is tried | {heads} |", "|---" * (1 + len(columns)) + "|"]
    for family in dict.fromkeys(line.family for line in lines):
        cells = []
        for column in columns:
            own = [x for x in lines if x.family == family and (x.model, x.shots) == column]
            cells.append(
                f"{with_error([x.gain for x in own])} / {np.mean([x.hurts for x in own]):.0f} % / "
                f"{np.mean([x.confirmed for x in own]):.1f} % / "
                f"{np.mean([x.whole for x in own]):+.2f}"
                if own
                else ""
            )
        rows.append(f"| {family} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def by_family(lines: Sequence[Line]) -> str:
    """Markdown: one family a row, means over tasks."""
    rows = [
        "| family | tasks | candidates | passes | chosen | apparent | gain | harms | confirmed "
        "| confirmed on | whole | whole harms | calibrated: gain before | after |",
        "|---|" + "---:|" * 13,
    ]
    for family in dict.fromkeys(line.family for line in lines):
        own = [line for line in lines if line.family == family]
        also = [x for x in own if x.calibrated == x.calibrated]
        on = [line.task for line in own if line.confirmed >= 10]
        cells = [
            f"{len(own)}",
            f"{own[0].candidates}",
            f"{np.mean([x.passes for x in own]):.1f}",
            f"{np.mean([x.acts for x in own]):.0f} %",
            f"{np.mean([x.apparent for x in own]):+.1f}",
            with_error([x.gain for x in own]),
            f"{np.mean([x.hurts for x in own]):.0f} %",
            f"{np.mean([x.confirmed for x in own]):.1f} %",
            f"{len(on)}",
            with_error([x.whole for x in own]),
            f"{np.mean([x.whole_hurts for x in own]):.1f} %",
            with_error([x.gain for x in also]),
            with_error([x.calibrated for x in also]),
        ]
        name = family + (f" ({own[0].labelled} labelled)" * (own[0].labelled != own[0].shots))
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def with_error(values: Sequence[float]) -> str:
    """Mean over tasks and its standard error."""
    if len(values) < 2:
        return "".join(f"{value:+.1f}" for value in values)
    return f"{np.mean(values):+.1f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.1f}"


def by_task(model: str, lines: Sequence[Line], full: Sequence[Full]) -> str:
    """Markdown: base, calibration, and of each family the best cut on all items and what to expect.

    `CUT: GAIN* (AFTER CALIBRATION) / UNSEEN`; * where p < 0.05, corrected over the family.
    """
    own = [row for row in full if row.model == model]
    families = list(dict.fromkeys(family for row in own for family in row.best))
    rows = [
        "| task | items | base | calibrated | " + " | ".join(families) + " |",
        "|---|" + "---:|" * (3 + len(families)),
    ]
    for row in own:
        cells = [f"{row.items}", f"{row.base:.0f} %", percent(row.calibrated_base)]
        for family in families:
            unseen = [
                x.gain for x in lines
                if (x.model, x.task, x.family, x.shots) == (model, row.task, family, 20)
            ]  # fmt: skip
            best = row.best.get(family)
            if best is None:
                cells.append("")
                continue
            star = "*" if best.p_gain < 0.05 else ""
            after = "" if best.calibrated != best.calibrated else f" ({best.calibrated:+.0f})"
            cells.append(f"{best.cut}: {best.gain:+.0f}{star}{after}")
            cells[-1] += "".join(f" / {value:+.1f}" for value in unseen)
        rows.append(f"| {row.task} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def percent(value: float) -> str:
    """Empty for what is not known."""
    return f"{value:.0f} %" if value == value else ""


def draw(lines: Sequence[Line], models: Sequence[str], path: Path) -> None:
    """Families against gain: as it looks on the items that chose, and on unseen ones."""
    most = 20
    shown = [line for line in lines if line.shots == most]
    families = list(dict.fromkeys(line.family for line in shown))
    with figure(path, 4.6 * len(models), 0.42 * len(families) + 1.3, svg=True) as drawing:
        panels = drawing.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
        for axes, model in zip(panels, models, strict=True):
            for at, family in enumerate(families):
                own = [x for x in shown if (x.model, x.family) == (model, family)]
                if not own:
                    continue
                gains = [x.gain for x in own]
                axes.plot(gains, [at] * len(own), "o", color=SERIES[0], alpha=0.35, markersize=4,
                          markeredgewidth=0)  # fmt: skip
                axes.plot(np.mean([x.apparent for x in own]), at, MARKERS[1], color=NEUTRAL,
                          fillstyle="none", markersize=6)  # fmt: skip
                axes.plot(np.mean(gains), at, "|", color=SERIES[0], markersize=13,
                          markeredgewidth=2.4)  # fmt: skip
                axes.plot(np.mean([x.whole for x in own]), at, MARKERS[2], color=SERIES[1],
                          markersize=5)  # fmt: skip
            zero_line(axes, vertical=True)
            axes.set_title(named(model), fontsize=9)
            axes.grid(axis="x", color=FAINT, linewidth=0.6)
            axes.set_xlabel(f"gain in points, {most} shots", color=INK)
        panels[0].set_yticks(range(len(families)), families)
        panels[0].invert_yaxis()
        marks = panels[0].get_lines()[:4]
        names = ["a task, unseen items", "mean, on the items that chose", "mean, unseen items",
                 "mean, kept only where confirmed"]  # fmt: skip
        drawing.legend(marks, names, loc="outside lower center", ncols=4)
