"""What a run keeps of the request that made it: as a value in its manifest, and as a command."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path

from talo_export.requests.fields import command_line
from talo_export.requests.measurements import CompareRequest, EvaluateRequest, ProbeRequest
from talo_export.requests.settings import DEFAULT_TASK, ModelSettings, ScoringSettings, TaskChoice
from talo_export.runs.chosen_task import absolute_name
from talo_export.runs.directory import TaskWords
from talo_export.tasks.item import Task

COMPARED = (ScoringSettings, TaskChoice, ModelSettings)
"""What a probe and a comparison are asked alike."""


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


def recorded(request: ProbeRequest, task: Task, fingerprint: str) -> dict[str, object]:
    """The request as the run's manifest keeps it: a choice, once made, is not made again."""
    words = TaskWords(request.columns or None, request.choices_from, request.few_shot)
    return {
        "scores": score_identity(request, task, fingerprint),
        "model": request.model_name,
        "task_reference": absolute_name(request.task, model_is_demo=request.is_demo),
        "task_words": words.to_json() or None,
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


def command_worth_trying(request: ProbeRequest, items: int, run: Path) -> str | None:
    """Where no gain was confirmed: more items to choose by, else other methods on the same ones.

    None where every one of the task's `items` was probed. `run` is the directory of this run.
    """
    if request.shots is None:
        return None
    task, shots = request.task or DEFAULT_TASK, 4 * request.shots
    if 2 * shots <= items:
        out = run.with_name(f"{run.name}.{shots}-shots")
        return command_line(replace(request, task=task, shots=shots, out=out, fresh=False))
    shared = {f.name for kind in COMPARED for f in fields(kind)}
    settings = {name: getattr(request, name) for name in shared} | {"task": task}
    return command_line(CompareRequest(**settings, shots=(request.shots,)))


def command_line_of(request: ProbeRequest) -> str:
    """The line that gives this run again, its task named even where it is the default."""
    return command_line(replace(request, task=request.task or DEFAULT_TASK, fresh=False))
