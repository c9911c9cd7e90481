"""What a run keeps of the request that made it: as a value in its manifest, and as a command."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from talo_export.requests.fields import command_line
from talo_export.requests.measurements import EvaluateRequest, ProbeRequest
from talo_export.requests.settings import DEFAULT_TASK
from talo_export.runs.chosen_task import absolute_name, choice_recorded
from talo_export.tasks.item import Task


def score_identity(
    request: ProbeRequest | EvaluateRequest, task: Task, fingerprint: str
) -> dict[str, str]:
    """Everything an outcome depends on: what the journal is kept under."""
    return {
        "model": request.model_name,
        "model_fingerprint": fingerprint,
        "task": task.name,
        "task_fingerprint": task.fingerprint,
        "dtype": request.dtype,
        "seed": str(request.seed),
        **request.to_scoring().identity(),
    }


def recorded(request: ProbeRequest, task: Task, fingerprint: str) -> dict[str, Any]:
    """The request as the run's manifest keeps it: a choice, once made, is not made again."""
    return {
        "scores": score_identity(request, task, fingerprint),
        "model": request.model_name,
        "task_reference": absolute_name(request.task, model_is_demo=request.is_demo),
        "task_words": choice_recorded(request) or None,
        "dtype": request.dtype,
        "scoring": asdict(request.to_scoring()),
        "seed": request.seed,
        "shots": request.shots,
        "min_gain": request.min_gain,
        "criterion": request.criterion,
        "scope": request.scope,
        "fill": request.fill,
        "checkpoint": request.checkpoint,
        "skip_too_long": request.skip_too_long,
    }


def command_line_of(request: ProbeRequest) -> str:
    """The line that gives this run again, its task named even where it is the default."""
    return command_line(replace(request, task=request.task or DEFAULT_TASK, fresh=False))
