"""What `talo-export probe` was asked for: as a value, in the run's manifest, and as a command."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from talo_export.errors import UsageError
from talo_export.evidence.selection import DEFAULT_CRITERION, check_criterion
from talo_export.jobs.asking import DEFAULT_PROMPT, Setup
from talo_export.jobs.task_words import (
    DEFAULT_TASK,
    DEMO,
    TaskWords,
    absolute_name,
)
from talo_export.knockout import Fill, Scope
from talo_export.probing.engines.checked import EngineName
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Task


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What `talo-export probe` was asked for. `shots` None probes every item and selects none.

    `min_gain` is a share of accuracy: 0.05 is five points; None asks what the criterion asks.
    """

    setup: Setup = field(default_factory=Setup)
    task: str | None = None
    data: Path | None = None
    columns: tuple[tuple[str, str], ...] = ()
    few_shot: int = 0
    out: Path | None = None
    shots: int | None = 20
    seed: int = 0
    scoring: Scoring = field(default_factory=Scoring)
    min_gain: float | None = None
    criterion: str = DEFAULT_CRITERION
    scope: Scope = "attention"
    fill: Fill = "zero"
    engine: EngineName = "auto"
    skip_too_long: bool = False
    checkpoint: bool = True
    fresh: bool = False

    def __post_init__(self) -> None:
        check_criterion(self.criterion)
        if self.min_gain is not None and not -1 <= self.min_gain < 1:
            raise UsageError(
                f"--min-gain is {100 * self.min_gain:g}: give points of accuracy, below 100."
            )

    @property
    def words(self) -> TaskWords:
        """What was asked for, to load the task by."""
        return TaskWords(
            name=self.task,
            data=self.data,
            columns=dict(self.columns),
            few_shot=self.few_shot,
            trust_remote_code=self.setup.trust_remote_code,
        )


def score_identity(request: ProbeRequest, task: Task, fingerprint: str) -> dict[str, str]:
    """Everything an outcome depends on: what the journal is kept under."""
    return {
        "model": request.setup.name,
        "model_fingerprint": fingerprint,
        "task": task.name,
        "task_fingerprint": task.fingerprint,
        "dtype": request.setup.dtype,
        "seed": str(request.seed),
        **request.scoring.identity(),
    }


def recorded(request: ProbeRequest, task: Task, fingerprint: str) -> dict[str, Any]:
    """The request as the run's manifest keeps it: a choice, once made, is not made again."""
    return {
        "scores": score_identity(request, task, fingerprint),
        "model": request.setup.name,
        "task_reference": absolute_name(request.words, model_is_demo=request.setup.is_demo),
        "task_words": request.words.recorded() or None,
        "dtype": request.setup.dtype,
        "scoring": asdict(request.scoring),
        "seed": request.seed,
        "shots": request.shots,
        "min_gain": request.min_gain,
        "criterion": request.criterion,
        "scope": request.scope,
        "fill": request.fill,
        "checkpoint": request.checkpoint,
        "skip_too_long": request.skip_too_long,
    }


def command_line(request: ProbeRequest) -> str:
    """The line that gives this run again, options at their defaults left out."""
    default, setup, plain = ProbeRequest(), request.setup, Setup()
    words = ["talo-export", "probe"]

    def option(name: str, value: object, usual: object) -> None:
        if value != usual:
            words.extend([name, str(value)])

    option("--model", setup.name, DEMO)
    option("--task", request.task or DEFAULT_TASK, None)
    option("--data", request.data, None)
    option("--columns", ",".join(f"{ours}={theirs}" for ours, theirs in request.columns), "")
    option("--few-shot", request.few_shot, default.few_shot)
    option("--shots", "all" if request.shots is None else request.shots, default.shots)
    option("--seed", request.seed, default.seed)
    option("--scoring", request.scoring.kind, default.scoring.kind)
    if request.scoring.choice_text is not None:
        words.append("--choice-text" if request.scoring.choice_text else "--choice-letter")
    option("--normalise", request.scoring.normalise, default.scoring.normalise)
    option("--prompt", request.scoring.prompt_style or DEFAULT_PROMPT, DEFAULT_PROMPT)
    option("--system", request.scoring.system, None)
    option("--min-gain", None if request.min_gain is None else 100 * request.min_gain, None)
    option("--criterion", request.criterion, default.criterion)
    option("--scope", request.scope, default.scope)
    option("--fill", request.fill, default.fill)
    option("--dtype", setup.dtype, plain.dtype)
    if request.skip_too_long:
        words.append("--skip-too-long")
    if setup.trust_remote_code:
        words.append("--trust-remote-code")
    return shlex.join(words)
