"""`talo-export tasks`: which tasks there are, what one sends to a model, whether a file is one."""

from __future__ import annotations

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.readings import TasksRequest


@command(TasksRequest)
def tasks(request: TasksRequest, sink: Sink) -> None:
    from talo_export.cli.show_items import items_summary, show_items
    from talo_export.cli.show_tasks import check_summary, show_check, show_tasks
    from talo_export.jobs.tasks import run_tasks

    document = run_tasks(request, note=sink.note)
    if request.checks:
        summary, show = check_summary(document), show_check
    elif request.show is not None:
        summary, show = items_summary(document), show_items
    else:
        summary, show = "\n".join(task["name"] for task in document["tasks"]), show_tasks
    sink.result(document, summary=summary, show=lambda to: show(document, to))
