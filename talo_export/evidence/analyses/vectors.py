"""Task-layer interaction vectors: what knocking out each layer does to each task.

v(T)[l] = accuracy with layer l knocked out - accuracy of the base, on the items both answered.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.paired import right
from talo_export.evidence.selection import layer_moments
from talo_export.knockout import Fill, Scope
from talo_export.probing.scores import ScoreTable

Array = NDArray[np.float64]

COLUMNS = ("task", "layer", "scope", "fill", "n", "base_accuracy", "gain", "standard_error")


@dataclass(frozen=True)
class InteractionVectors:
    """T tasks x L layers. Gains and errors are shares, NaN where a layer was not measured."""

    tasks: tuple[str, ...]
    layers: tuple[int, ...]
    scope: Scope
    fill: Fill
    n: tuple[int, ...]
    """Items of each task."""
    base_accuracy: tuple[float, ...]
    gains: Array
    errors: Array
    """Standard error of each gain, paired, items independent."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a task and layer, under `COLUMNS`; unmeasured layers are left out."""
        for t, task in enumerate(self.tasks):
            for column, layer in enumerate(self.layers):
                gain, error = float(self.gains[t, column]), float(self.errors[t, column])
                if np.isnan(gain):
                    continue
                yield dict(
                    zip(
                        COLUMNS,
                        (task, layer, self.scope, self.fill, self.n[t], self.base_accuracy[t],
                         gain, None if np.isnan(error) else error),
                        strict=True,
                    )
                )  # fmt: skip

    @property
    def sentence(self) -> str:
        """One sentence for a person, in points."""
        best = np.where(np.isfinite(self.gains), self.gains, -np.inf)
        helped = int((best.max(axis=1) > 0).sum())
        task, column = np.unravel_index(int(best.argmax()), best.shape)
        many = len(self.tasks) > 1
        where = f" on {self.tasks[task]}" if many else ""
        return (
            f"On {helped} of {len(self.tasks)} task{'s' if many else ''} the knockout of some "
            f"layer gains accuracy on the probing items; the most, {100 * best[task, column]:+.1f} "
            f"points on {self.n[task]} items, layer {self.layers[column]}{where}: the best of "
            f"{best.size:,}, and so partly luck."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, null where a layer was not measured."""
        return {
            "sentence": self.sentence,
            "layers": list(self.layers),
            "scope": self.scope,
            "fill": self.fill,
            "tasks": [
                {
                    "task": task,
                    "n": self.n[t],
                    "base_accuracy": self.base_accuracy[t],
                    "gains": _plain(self.gains[t]),
                    "standard_errors": _plain(self.errors[t]),
                }
                for t, task in enumerate(self.tasks)
            ],
        }


def interaction_vectors(
    tables: Mapping[str, ScoreTable], *, scope: Scope = "attention", fill: Fill = "zero"
) -> InteractionVectors:
    """The vectors of several tasks of one model, in the order given.

    Raises TaloError where there is no task, or one without knockouts of this scope and fill.
    """
    if not tables:
        raise TaloError("There are no scores to make vectors of. Name at least one finished run.")
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for task, table in tables.items():
        wanted = [k for k in table.variants if k is not None and (k.scope, k.fill) == (scope, fill)]
        if not wanted:
            raise TaloError(
                f"The run of {task!r} holds no knockout of scope {scope!r} and fill {fill!r}. "
                "Leave it out, or sweep that scope and fill first."
            )
        moment = layer_moments(table, [table.row(k) for k in wanted]).accuracy
        found[task] = {
            k.layer: (gain, error)
            for k, gain, error in zip(
                wanted, moment.mean.tolist(), moment.error.tolist(), strict=True
            )
        }
    layers = sorted({layer for vector in found.values() for layer in vector})
    blank = (float("nan"), float("nan"))
    values = np.array([[vector.get(layer, blank) for layer in layers] for vector in found.values()])
    seen = {task: table.scored[table.row(None)] for task, table in tables.items()}
    return InteractionVectors(
        tasks=tuple(tables),
        layers=tuple(layers),
        scope=scope,
        fill=fill,
        n=tuple(int(mask.sum()) for mask in seen.values()),
        base_accuracy=tuple(
            float(right(table)[table.row(None)][seen[task]].mean())
            for task, table in tables.items()
        ),
        gains=values[:, :, 0],
        errors=values[:, :, 1],
    )


def write_vectors(vectors: InteractionVectors, path: Path) -> Path:
    """Write one row a task and layer as CSV or Parquet, by the file's suffix."""
    rows = list(vectors.rows())
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        raise UsageError(f"Vectors are written as .csv or .parquet, not as {path.name!r}.")
    return path


def _plain(values: Array) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
