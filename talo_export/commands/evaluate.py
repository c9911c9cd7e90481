"""`talo-export evaluate`: how well does a checkpoint do on a task, by stock inference?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from talo_export.commands.evaluate_tasks import (
    EvaluateResult,
    EvaluationsResult,
    run_evaluate,
    run_evaluations,
)
from talo_export.commands.many import means_many, show_failures
from talo_export.commands.tables import table_of
from talo_export.evidence.selection import MORE_ROOM, UNREAD
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.measurements import EvaluateRequest
from talo_export.wording import percent

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.tasks.averages import Averages


def show_evaluate(result: EvaluateResult, to: Console) -> None:
    """Accuracy with its interval, beside chance, and how many answers could not be read."""
    low, high = result.ci95
    to.print(
        f"{result.model} on {result.task}: {percent(result.accuracy)} of "
        f"{result.n} items (exact 95 % interval {percent(low)} to {percent(high)}, chance "
        f"{percent(result.chance, 0)}), scored by {result.scoring}"
    )
    if result.too_long:
        to.print(f"{len(result.too_long)} items longer than the context were left out")
    if result.unparsed:
        to.print(f"{result.unparsed} answers could not be read and count as wrong")
    for words in averages_words(result.averages):
        to.print(words)


def averages_words(averages: Averages) -> list[str]:
    """The averages other than the one over items, a sentence each, by their names."""
    said = []
    categories = averages.by_category
    if len(categories) > 1 and averages.macro is not None:
        said.append(
            f"macro average over {len(categories)} categories {percent(averages.macro)}, "
            f"micro average over items {percent(averages.micro)}"
        )
        said += [f"  {name}: {percent(share)}" for name, share in categories.items()]
    if averages.unit is not None:
        said.append(
            f"{percent(averages.unit)} of {averages.units} questions are right in every way "
            "they are asked (circular accuracy, for rotated choices)"
        )
    return said


def show_evaluations(result: EvaluationsResult, to: Console) -> None:
    """Print the table of `evaluate --task 'PATTERN'`."""
    table = table_of("task", ">items", ">accuracy", ">exact 95 % interval", ">chance", ">unread")
    for row in result.tasks:
        low, high = row.ci95
        table.add_row(
            row.task,
            f"{row.n:,}",
            percent(row.accuracy),
            f"{percent(low)} to {percent(high)}",
            percent(row.chance, 0),
            str(row.unparsed),
        )
    to.print(table)
    to.print(evaluations_summary(result))
    show_failures(result.failed, to)


def evaluations_summary(result: EvaluationsResult) -> str:
    """One sentence: the averages by their names, and how many tasks failed."""
    failed = f"; {len(result.failed)} failed" if result.failed else ""
    if result.macro is None or result.micro is None:
        return f"no task could be evaluated{failed}"
    items = sum(row.n for row in result.tasks)
    return (
        f"macro average over {len(result.tasks)} tasks {percent(result.macro)}, "
        f"micro average over {items:,} items {percent(result.micro)}{failed}"
    )


def run(
    request: EvaluateRequest, reporter: Reporter = SILENT
) -> EvaluateResult | EvaluationsResult:
    """Answer a task's items, or those of every task that the name means."""
    if means_many(request.task):
        return run_evaluations(request, reporter)
    return run_evaluate(request, reporter)


def summary(result: EvaluateResult | EvaluationsResult) -> str:
    """The one sentence that `--quiet` prints."""
    if isinstance(result, EvaluationsResult):
        return evaluations_summary(result)
    return f"{result.accuracy:.4f}"


def show(result: EvaluateResult | EvaluationsResult, to: Console) -> None:
    """The accuracy, or the table of many tasks."""
    if isinstance(result, EvaluationsResult):
        show_evaluations(result, to)
    else:
        show_evaluate(result, to)


def warnings(result: EvaluateResult | EvaluationsResult) -> list[str]:
    """What to do where most answers could not be read: often a model's thoughts did not end."""
    rows = result.tasks if isinstance(result, EvaluationsResult) else (result,)
    return [
        UNREAD.format(unparsed=row.unparsed, n=row.n) + row.task + MORE_ROOM
        for row in rows
        if 2 * row.unparsed >= row.n
    ]


def exit_status(result: EvaluateResult | EvaluationsResult) -> int:
    """1 where a task of many could not be done."""
    return 1 if isinstance(result, EvaluationsResult) and result.failed else 0
