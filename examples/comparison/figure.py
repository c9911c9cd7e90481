"""The page's figure: each method's gain over the base on each task, with its paired interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from talo_export.evidence.canvas import CHOSEN, GAIN, LOSS, figure, zero_line

LOOKS = {
    "knockout": (CHOSEN, "o"),
    "calibration": ("#E69F00", "s"),
    "few-shot": ("#CC79A7", "D"),
    "lora": (GAIN, "^"),
    "ia3": ("#56B4E9", "v"),
    "knockout+lora": (LOSS, "P"),
}


def draw_gains(documents: Sequence[dict[str, Any]], path: Path) -> None:
    """One panel for each number of shots, one group of marks for each task, points on the axis."""
    shots = sorted({row["shots"] for d in documents for row in d["methods"] if row["shots"]})
    there = {row["name"] for document in documents for row in document["methods"]}
    methods = [name for name in LOOKS if name in there]
    with figure(path, 9.0, 1.3 + 0.45 * len(documents)) as drawing:
        panels = drawing.subplots(1, len(shots), sharey=True, sharex=True, squeeze=False)[0]
        for axes, number in zip(panels, shots, strict=True):
            zero_line(axes, vertical=True)
            for place, method in enumerate(methods):
                colour, marker = LOOKS[method]
                xs, ys, below, above = [], [], [], []
                for line, document in enumerate(documents):
                    row = next(
                        (r for r in document["methods"]
                         if (r["name"], r["shots"]) == (method, number)), None,
                    )  # fmt: skip
                    if row is None or row["gain"] is None:
                        continue
                    low, high = row["gain_ci95"]
                    xs.append(100 * row["gain"])
                    ys.append(line + 0.16 * (place - (len(methods) - 1) / 2))
                    below.append(max(0.0, 100 * (row["gain"] - low)))
                    above.append(max(0.0, 100 * (high - row["gain"])))
                axes.errorbar(
                    xs, ys, xerr=[below, above], fmt=marker, color=colour, markersize=4,
                    elinewidth=1, label=method,
                )  # fmt: skip
            axes.set_title(f"{number} shots")
            axes.set_xlabel("gain over the base, points")
            axes.set_yticks(range(len(documents)), [document["task"] for document in documents])
            axes.set_ylim(len(documents) - 0.5, -0.5)
            axes.grid(axis="x", color="#EEEEEE")
            axes.set_axisbelow(True)
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=len(labels))
