"""`talo-export probe`: the main job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def probe(
    model: options.Model = None,
    task: options.TaskName = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            show_default="runs/<model>/<task>",
            help="Directory of the run.",
        ),
    ] = None,
    shots: Annotated[
        str,
        typer.Option(
            metavar="N|all",
            rich_help_panel=options.SEARCH,
            help="Items to probe with; the others confirm. `all` sweeps every item, selects none.",
        ),
    ] = "20",
    min_gain: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=options.SEARCH,
            metavar="POINTS",
            show_default="what --criterion asks",
            help="Keep the base unless a layer gains more than this, in points of accuracy.",
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=options.SEARCH,
            show_default="by measurement",
            help="What makes a layer the best one: kept-t, accuracy, margin, probability, ...",
        ),
    ] = None,
    scope: options.ExportScope = "attention",
    fill: options.FillName = "zero",
    engine: Annotated[
        Literal["auto", "naive", "resume", "lockstep"],
        typer.Option(
            metavar="NAME",
            rich_help_panel=options.SEARCH,
            help="auto, naive, resume or lockstep: how work is shared, never what comes out.",
        ),
    ] = "auto",
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
    checkpoint: Annotated[
        bool,
        typer.Option(
            "--checkpoint/--no-checkpoint",
            rich_help_panel=options.OUTPUT,
            help="Write the patched checkpoint when a layer earns it.",
        ),
    ] = True,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", rich_help_panel=options.OUTPUT, help="Start over an earlier run in --out."
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the layer that hurts a task, confirm it on other items, write the patched checkpoint.

    Without --model and --task the bundled demo answers its own maps. Interrupt it whenever you
    like: the same line goes on where it stopped, and a finished run is shown, not redone. Started
    by `accelerate launch -m talo_export probe ...` or torchrun, several processes share the items.
    """
    with told():
        follows = int(os.environ.get("RANK", "0")) > 0
        sink = Sink(json_mode=json, quiet=quiet or follows)
        from talo_export.cli.progress import SweepProgress
        from talo_export.cli.progress_many import ManyProgress
        from talo_export.cli.show_many import many_summary, show_many
        from talo_export.cli.show_probe import show_probe, summary
        from talo_export.evidence.selection import DEFAULT_CRITERION
        from talo_export.jobs.asking import (
            Setup,
            parse_batch_size,
            parse_memory,
            parse_shots,
            scoring_of,
        )
        from talo_export.jobs.many import means_many
        from talo_export.jobs.probe import run_probe
        from talo_export.jobs.probe_many import run_probes
        from talo_export.jobs.probe_request import ProbeRequest
        from talo_export.probing.team import in_team
        from talo_export.tasks.row_items import parse_columns

        request = ProbeRequest(
            setup=Setup(
                model=model,
                dtype=dtype,
                device=device,
                device_map=device_map,
                offload=offload,
                max_memory=parse_memory(max_memory),
                batch_size=parse_batch_size(batch_size),
                trust_remote_code=trust_remote_code,
            ),
            task=task,
            data=data,
            columns=tuple(parse_columns(columns).items()) if columns else (),
            few_shot=few_shot,
            out=out,
            shots=parse_shots(shots),
            seed=seed,
            scoring=scoring_of(
                scoring,
                choice_text=choice_text,
                normalise=normalise,
                prompt=prompt,
                system=system,
            ),
            min_gain=None if min_gain is None else min_gain / 100,
            criterion=criterion or DEFAULT_CRITERION,
            scope=scope,
            fill=fill,
            engine=engine,
            skip_too_long=skip_too_long,
            checkpoint=checkpoint,
            fresh=fresh,
        )
        if means_many(task):
            with in_team() as team, ManyProgress(sink) as bar:
                many = run_probes(request, note=bar.note, progress=bar, begin=bar.begin, team=team)
            if team.leads:
                sink.result(many, summary=many_summary(many), show=lambda to: show_many(many, to))
            raise typer.Exit(1 if many["failed"] else 0)
        with in_team() as team, SweepProgress(sink) as progress:
            document = run_probe(request, note=sink.note, progress=progress, team=team)
        if team.leads:
            sink.result(
                document, summary=summary(document), show=lambda to: show_probe(document, to)
            )
