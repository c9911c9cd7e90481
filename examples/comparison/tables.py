"""The page's tables: accuracy by task, cost by method, and every row as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from talo_export.wording import percent

COLUMNS = (
    "accuracy", "accuracy_sd", "gain", "gain_low", "gain_high", "p_value", "seconds",
    "test_seconds", "inference_overhead", "peak_memory_bytes", "trainable_parameters",
    "forward_passes", "backward_passes", "artifact_bytes", "not_done",
)  # fmt: skip

Documents = Sequence[dict[str, Any]]


def write_csv(documents: Documents, path: Path) -> None:
    """One line a task, method and number of shots."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["task", "test_n", "chance", "method", "shots", "seeds", *COLUMNS, "layers"]
        )
        for document in documents:
            for row in document["methods"]:
                low, high = row["gain_ci95"] or (None, None)
                values = row | {"gain_low": low, "gain_high": high}
                writer.writerow(
                    [document["task"], document["test_n"], f"{document['chance']:.4g}",
                     row["name"], row["shots"], row["seeds"],
                     *(_short(values[name]) for name in COLUMNS),
                     " ".join("-" if layer is None else str(layer) for layer in row["layers"])]
                )  # fmt: skip


def write_tables(documents: Documents, path: Path) -> None:
    """Accuracy, then cost, then each comparison's own verdict, as Markdown."""
    columns = columns_of(documents)
    parts = [accuracy_table(documents, columns), cost_table(documents, columns)]
    parts.append("\n".join(f"- `{d['task']}`: {d['summary']}" for d in documents))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def columns_of(documents: Documents) -> list[tuple[str, int]]:
    """(method, shots) in the order of the comparisons."""
    seen = {(r["name"], r["shots"]): None for d in documents for r in d["methods"] if r["shots"]}
    methods = list(dict.fromkeys(name for name, _ in seen))
    return sorted(seen, key=lambda column: (methods.index(column[0]), column[1]))


def accuracy_table(documents: Documents, columns: Sequence[tuple[str, int]]) -> str:
    """Accuracy in % ± its deviation over seeds; bold where the paired interval excludes 0."""
    heads = [f"{name}, {shots}" for name, shots in columns]
    lines = [
        f"| task (test items x seeds, chance) | base | {' | '.join(heads)} |",
        f"|---|{'---:|' * (len(columns) + 1)}",
    ]
    for document in documents:
        rows = {(row["name"], row["shots"]): row for row in document["methods"]}
        cells = [_accuracy(rows[("base", 0)])]
        cells += [_accuracy(rows.get(column)) for column in columns]
        seeds = max(row["seeds"] for row in document["methods"])
        about = f"{document['test_n']} x {seeds}, {percent(document['chance'], 0)}"
        lines.append(f"| `{document['task']}` ({about}) | {' | '.join(cells)} |")
    gains = []
    for column in columns:
        found = [r["gain"] for d in documents for r in d["methods"]
                 if (r["name"], r["shots"]) == column and r["gain"] is not None]  # fmt: skip
        gains.append(f"{100 * mean(found):+.1f} ({len(found)})" if found else "")
    lines.append(f"| mean gain in points (tasks) | | {' | '.join(gains)} |")
    return "\n".join(lines)


def cost_table(documents: Documents, columns: Sequence[tuple[str, int]]) -> str:
    """What a method takes and ships: means over tasks, memory the largest."""
    lines = [
        "| method, shots | seconds to adapt | passes forward + backward | peak memory | "
        "trained parameters | ships | slower to answer |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, shots in [("base", 0), *columns]:
        column = (name, shots)
        every = [r for d in documents for r in d["methods"] if (r["name"], r["shots"]) == column]
        rows = [row for row in every if row["seconds"] is not None]
        if not rows:
            continue
        slower = [r["inference_overhead"] for r in rows if r["inference_overhead"] is not None]
        cells = [
            f"{name}, {shots}" if shots else name,
            f"{mean(r['seconds'] for r in rows):.1f}",
            f"{mean(r['forward_passes'] for r in rows):,.0f} + "
            f"{mean(r['backward_passes'] for r in rows):,.0f}",
            f"{max(r['peak_memory_bytes'] for r in rows) / 2**20:,.0f} MiB",
            f"{max(r['trainable_parameters'] for r in rows):,}",
            _size(max(r["artifact_bytes"] for r in rows)),
            f"{100 * mean(slower):+.0f} %" if slower else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _accuracy(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if row["accuracy"] is None:
        return str(row["not_done"])
    said = f"{100 * row['accuracy']:.1f} ± {100 * (row['accuracy_sd'] or 0):.1f}"
    low, high = row["gain_ci95"] or (0.0, 0.0)
    return f"**{said}**" if low > 0 or high < 0 else said


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _size(count: int) -> str:
    if count < 10 * 1024:
        return f"{count:,} B"
    return f"{count / 2**10:,.0f} KiB" if count < 2**20 else f"{count / 2**20:.1f} MiB"
