"""A finished comparison read back, for the report of a run and for the card of an export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talo_export.errors import TaloError
from talo_export.publish.facts import MethodFacts

DOCUMENT = "compare.json"
"""The document of `compare --json`, kept in the comparison's directory."""

SAME = ("model", "task", "scoring")
"""What a comparison shares with the run it is shown with."""


def comparison_beside(run: Path) -> Path:
    """Where `compare` puts what belongs to a run: beside it, not inside it."""
    return run.with_name(f"{run.name}.compare")


def comparison_of(run: Path, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The comparison beside a run; None where there is none, or it was scored in another way."""
    path = comparison_beside(run) / DOCUMENT
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if all(found[what] == document[what] for what in SAME) else None


def read_comparison(directory: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a comparison of the same model on the same task as a run's result.

    Raises TaloError where there is none, or it is of another model or task.
    """
    path = directory / DOCUMENT
    if not path.is_file():
        raise TaloError(
            f"{directory} holds no finished comparison: name the directory that "
            "`talo-export compare` printed."
        )
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for what in SAME:
        if document[what] != run[what]:
            raise TaloError(
                f"the comparison in {directory} is of {what} {document[what]}, the run's is "
                f"{run[what]}: compare the same."
            )
    return document


def method_facts(document: Mapping[str, Any]) -> tuple[MethodFacts, ...]:
    """A row for each method, also for one that diverged or starved with every seed."""
    return tuple(
        MethodFacts(
            name=_name(row),
            accuracy=row["accuracy"],
            accuracy_sd=row["accuracy_sd"],
            ci95=None if row["gain_ci95"] is None else tuple(row["gain_ci95"]),
            seconds=row["seconds"],
            peak_memory_bytes=row["peak_memory_bytes"],
            trainable_parameters=row["trainable_parameters"],
            artifact_bytes=row["artifact_bytes"],
            not_done=row.get("not_done"),
        )
        for row in document["methods"]
    )


def sentences(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What the comparison says: who is ahead, and where one method overtakes another."""
    said = (*document.get("verdicts", ()), *document.get("break_even", ()))
    return tuple(one["sentence"] for one in said)


def _name(row: Mapping[str, Any]) -> str:
    asked = sum(row["statuses"].values())
    seeds = f"{asked} seed{'s' if asked != 1 else ''}"
    return f"{row['name']}, {row['shots']} shots, {seeds}" if row["shots"] else row["name"]
