"""What an analysis is given, and what it gives.

Most read scores that finished runs hold. What they lack is scored by whoever gives `MoreScores`:
nothing in this room runs a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Protocol

from talo_export.errors import TaloError, UsageError
from talo_export.evidence.differences import Differences, differences
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.probing.scores import ScoreTable

if TYPE_CHECKING:
    from talo_export.probing.sweep import SweepResult


@dataclass(frozen=True)
class TaskScores:
    """One finished run. `where` is the directory that errors name."""

    task: str
    where: Path
    probed: ScoreTable
    unseen: ScoreTable | None
    """None where every item was probed, or none was confirmed."""
    knockout: Knockout | None
    scope: Scope
    fill: Fill
    criterion: str
    min_gain: float | None
    lettered: bool
    """Whether letters were scored throughout: then choice B is B everywhere."""

    @property
    def sweep(self) -> Differences:
        """The differences on the probing items, of the scope and fill it was swept with."""
        return differences(self.probed, scope=self.scope, fill=self.fill)

    @property
    def judged(self) -> ScoreTable:
        """The items that judge the choice: unseen ones, where there are any."""
        return self.probed if self.unseen is None else self.unseen

    @property
    def chosen(self) -> Knockout:
        """The selected knockout. Raises TaloError where there is none."""
        if self.knockout is None:
            raise TaloError(
                f"{self.where} selected no layer, so there is nothing to analyse here; "
                f"`talo-export analyze vectors {quote(str(self.where))}` shows every layer's gain."
            )
        return self.knockout


class MoreScores(Protocol):
    """Cells that finished runs lack, scored once and kept."""

    def unseen(self, task: str, variants: Sequence[Knockout]) -> ScoreTable:
        """A task's items that it did not probe with, under these knockouts."""

    def probed_with(self, kinds: Sequence[tuple[Scope, Fill]]) -> dict[str, ScoreTable]:
        """Every task's probing items under every layer's knockout of every kind."""

    def second_sweep(self, task: str, first: Knockout, seconds: Sequence[Knockout]) -> SweepResult:
        """The probing items under these knockouts, on the model that already lacks `first`: the
        base row is that knockout."""

    def contents(self, task: str) -> Mapping[str, str]:
        """Item id -> a fingerprint of what is asked: equal for equal items of two tasks."""


@dataclass(frozen=True)
class Runs:
    """The runs an analysis is about, by task, and what scores more of them."""

    by_task: Mapping[str, TaskScores]
    more: MoreScores
    seed: int
    full: bool = False
    """Of pairs: every first layer, not only the best."""

    def only(self, analysis: str) -> TaskScores:
        """The one run, for analyses of one. Raises UsageError where there are several."""
        first = next(iter(self.by_task.values()))
        if len(self.by_task) != 1:
            raise UsageError(
                f"{analysis} is about one run, and {len(self.by_task)} were named: call it once "
                f"for each, as in `talo-export analyze {analysis} {quote(str(first.where))}`."
            )
        return first

    def probed(self) -> dict[str, ScoreTable]:
        """Every task's probing table."""
        return {task: run.probed for task, run in self.by_task.items()}

    def sweeps(self) -> dict[str, Differences]:
        """Every task's probing differences."""
        return {task: run.sweep for task, run in self.by_task.items()}


class Result(Protocol):
    """What an analysis found."""

    @property
    def sentence(self) -> str:
        """One sentence for a person."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, the sentence among them."""


class Draw(Protocol):
    """Draws the figure to a PNG, and to an SVG beside it where asked."""

    def __call__(self, path: Path, *, svg: bool) -> object: ...


@dataclass(frozen=True)
class Analysed:
    """A result, its figure, and files besides, by the ending of their names."""

    result: Result
    draw: Draw
    files: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
