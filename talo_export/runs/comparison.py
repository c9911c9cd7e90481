"""A finished comparison: the document of `compare --json`, kept in the comparison's directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from talo_export.baselines.break_even import BreakEven
from talo_export.baselines.settings import Training
from talo_export.baselines.summary import Row
from talo_export.baselines.verdict import Verdict
from talo_export.codec import Recorded, from_json
from talo_export.errors import TaloError
from talo_export.probing.settings import Kind
from talo_export.runs.result import ProbeResult

DOCUMENT = "compare.json"


@dataclass(frozen=True)
class Compared(Recorded):
    """What an export keeps of a comparison: nothing that names a file of this machine."""

    test_n: int
    """Items a seed."""
    methods: tuple[Row, ...]
    verdicts: tuple[Verdict, ...] = ()
    break_even: tuple[BreakEven, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Who is ahead, and where one method overtakes another."""
        return (
            *(verdict.sentence for verdict in self.verdicts),
            *(crossing.sentence for crossing in self.break_even),
        )


@dataclass(frozen=True)
class Comparison(Recorded):
    """Every method on the same items of one task."""

    task: str
    model: str
    scoring: Kind
    test_n: int
    """Items a seed."""
    chance: float
    methods: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    break_even: tuple[BreakEven, ...]
    summary: str
    training: Training
    load_in_4bit: bool
    run: Path
    csv: Path
    figure: Path | None

    @property
    def kept(self) -> Compared:
        """The part for an export's manifest."""
        rows = tuple(replace(row, reasons=None) for row in self.methods)
        return Compared(self.test_n, rows, self.verdicts, self.break_even)


def comparison_beside(run: Path) -> Path:
    """Where `compare` puts what belongs to a run: beside it, not inside it."""
    return run.with_name(f"{run.name}.compare")


def comparison_of(run: Path, result: ProbeResult) -> Comparison | None:
    """The comparison beside a run; None where there is none, or it was scored in another way."""
    path = comparison_beside(run) / DOCUMENT
    if not path.is_file():
        return None
    comparison = from_json(Comparison, path.read_bytes(), str(path))
    return None if _differing(comparison, result) else comparison


def read_comparison(directory: Path, result: ProbeResult) -> Comparison:
    """The comparison in `directory`, of the same model on the same task as a run's result.

    Raises TaloError where there is none, or it is of another model or task.
    """
    path = directory / DOCUMENT
    if not path.is_file():
        raise TaloError(
            f"{directory} holds no finished comparison: name the directory that "
            "`talo-export compare` printed."
        )
    comparison = from_json(Comparison, path.read_bytes(), str(path))
    for what, theirs, ours in _differing(comparison, result):
        raise TaloError(
            f"the comparison in {directory} is of {what} {theirs}, the run's is {ours}: "
            "compare the same."
        )
    return comparison


def _differing(comparison: Comparison, result: ProbeResult) -> list[tuple[str, str, str]]:
    """What of model, task and scoring is not the same: its name, the comparison's, the run's."""
    pairs = (
        ("model", comparison.model, result.model),
        ("task", comparison.task, result.task),
        ("scoring", comparison.scoring, result.scoring),
    )
    return [pair for pair in pairs if pair[1] != pair[2]]
