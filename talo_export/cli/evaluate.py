"""`talo-export evaluate`: how well does a checkpoint do on a task, by stock inference?"""

from __future__ import annotations

from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def evaluate(
    model: options.Model = None,
    task: options.TaskName = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel=options.TASK, help="Only N items, drawn by the seed."
        ),
    ] = None,
    data: options.Data = None,
    columns: options.Columns = None,
    few_shot: options.FewShot = 0,
    prompt: options.PromptStyle = "lmms-eval",
    system: options.System = None,
    scoring: options.ScoringKind = "generate",
    choice_text: options.ChoiceText = None,
    normalise: options.Normalise = "none",
    seed: options.Seed = 0,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    device_map: options.DeviceMap = None,
    offload: options.Offload = None,
    max_memory: options.MaxMemory = None,
    batch_size: options.BatchSize = "auto",
    skip_too_long: options.SkipTooLong = False,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Accuracy of any checkpoint on any task, item for item."""
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.cli.progress import SweepProgress
        from talo_export.cli.progress_many import ManyProgress
        from talo_export.cli.show_evaluate import (
            evaluations_summary,
            show_evaluate,
            show_evaluations,
        )
        from talo_export.jobs.asking import Setup, parse_batch_size, parse_memory, scoring_of
        from talo_export.jobs.evaluate import EvaluateRequest, run_evaluate
        from talo_export.jobs.evaluate_many import run_evaluations
        from talo_export.jobs.many import means_many
        from talo_export.jobs.task_words import TaskWords, with_columns

        setup = Setup(
            model=model,
            dtype=dtype,
            device=device,
            device_map=device_map,
            offload=offload,
            max_memory=parse_memory(max_memory),
            batch_size=parse_batch_size(batch_size),
            trust_remote_code=trust_remote_code,
        )
        words = TaskWords(task, data=data, few_shot=few_shot, trust_remote_code=trust_remote_code)
        request = EvaluateRequest(
            words=with_columns(words, columns),
            limit=limit,
            seed=seed,
            scoring=scoring_of(
                scoring,
                choice_text=choice_text,
                normalise=normalise,
                prompt=prompt,
                system=system,
            ),
            skip_too_long=skip_too_long,
        )
        if means_many(task):
            with ManyProgress(sink) as bar:
                many = run_evaluations(setup, request, note=bar.note, progress=bar, begin=bar.begin)
            sink.result(
                many,
                summary=evaluations_summary(many),
                show=lambda to: show_evaluations(many, to),
            )
            raise typer.Exit(1 if many.failed else 0)
        with SweepProgress(sink) as progress:
            result = run_evaluate(setup, request, note=sink.note, progress=progress)
        sink.result(
            result,
            summary=f"{result.accuracy:.4f}",
            show=lambda to: show_evaluate(result, to),
        )
