"""`talo-export tasks`: which tasks there are, what one sends to a model, whether a file is one."""

from __future__ import annotations

from functools import partial

from talo_export.cli.flags import command
from talo_export.cli.output import Sink
from talo_export.requests.readings import TasksRequest


@command(TasksRequest)
def tasks(request: TasksRequest, sink: Sink) -> None:
    from talo_export.cli.show_items import items_summary, show_items
    from talo_export.cli.show_tasks import check_summary, show_check, show_tasks
    from talo_export.commands.tasks import TaskCheck, TaskList, run_tasks

    result = run_tasks(request, note=sink.note)
    if isinstance(result, TaskCheck):
        sink.result(result, summary=check_summary(result), show=partial(show_check, result))
    elif isinstance(result, TaskList):
        names = "\n".join(task.name for task in result.tasks)
        sink.result(result, summary=names, show=partial(show_tasks, result))
    else:
        sink.result(result, summary=items_summary(result), show=partial(show_items, result))
