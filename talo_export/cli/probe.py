"""`talo-export probe`: the main job."""

from __future__ import annotations

import typer

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.measurements import ProbeRequest


@command(ProbeRequest)
def probe(request: ProbeRequest, sink: Sink) -> None:
    from talo_export.cli.progress import SweepProgress
    from talo_export.cli.progress_many import ManyProgress
    from talo_export.cli.show_many import many_summary, show_many
    from talo_export.cli.show_probe import show_probe, summary
    from talo_export.commands.many import means_many
    from talo_export.commands.probe import run_probe
    from talo_export.commands.probe_many import run_probes
    from talo_export.probing.distributed import joined_world

    if means_many(request.task):
        with joined_world() as world, ManyProgress(sink) as bar:
            many = run_probes(request, note=bar.note, progress=bar, begin=bar.begin, world=world)
        if world.is_rank_zero:
            sink.result(many, summary=many_summary(many), show=lambda to: show_many(many, to))
        raise typer.Exit(1 if many.failed else 0)
    with joined_world() as world, SweepProgress(sink) as progress:
        result = run_probe(request, note=sink.note, progress=progress, world=world)
    if world.is_rank_zero:
        sink.result(result, summary=summary(result), show=lambda to: show_probe(result, to))
