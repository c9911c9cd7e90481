"""`talo-export tasks`: which tasks there are, what one sends to a model, whether a file is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink


def tasks(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATTERN]",
            help="Names to list, such as 'mmstar/*'; or `check`, followed by a file of items.",
        ),
    ] = None,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="With `check`: the file to validate.")
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(
            "--show",
            metavar="N",
            min=1,
            help="Print the prompts of the task's first N items as --model is sent them.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="TASK",
            help="With `check`: another split or task, with which nothing should be shared.",
        ),
    ] = None,
    model: options.Model = None,
    trust_remote_code: options.TrustRemoteCode = False,
    data: options.Data = None,
    columns: options.Columns = None,
    few_shot: options.FewShot = 0,
    prompt: options.PromptStyle = "lmms-eval",
    system: options.System = None,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            show_default="shown/<task>",
            help="With --show: where the pictures are saved.",
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the tasks with size, chance level, scoring and source; show one; check a file.

    `talo-export tasks check FILE` reads every row and says what a probe could show with it,
    before any model is loaded. `talo-export tasks NAME --show 3 --model M` prints what the model
    is sent, and saves the pictures.
    """
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.errors import UsageError
        from talo_export.jobs.task_words import TaskWords, with_columns

        words = TaskWords(
            file if pattern == "check" else pattern,
            data=data,
            few_shot=few_shot,
            trust_remote_code=trust_remote_code,
        )
        words = with_columns(words, columns)
        if pattern == "check":
            from talo_export.cli.show_tasks import check_summary, show_check
            from talo_export.jobs.tasks import check_tasks

            checked = check_tasks(words, against=against)
            sink.result(
                checked, summary=check_summary(checked), show=lambda to: show_check(checked, to)
            )
        elif file is not None:
            raise UsageError(f"{file!r} is one word too many: quote a pattern with its '*'.")
        elif show is not None:
            from talo_export.cli.show_items import items_summary
            from talo_export.cli.show_items import show_items as print_items
            from talo_export.jobs.asking import Setup, scoring_of
            from talo_export.jobs.show_items import show_items
            from talo_export.jobs.task_words import meaning

            setup = Setup(model=model, trust_remote_code=trust_remote_code)
            sink.note(meaning(pattern, model_is_demo=setup.is_demo))
            scoring = scoring_of(
                "generate", choice_text=None, normalise="none", prompt=prompt, system=system
            )
            shown = show_items(setup, words, show, scoring=scoring, seed=seed, out=out)
            sink.result(shown, summary=items_summary(shown), show=lambda to: print_items(shown, to))
        else:
            from talo_export.cli.show_tasks import show_tasks
            from talo_export.jobs.tasks import list_known_tasks

            listed = list_known_tasks(pattern)
            sink.result(
                listed,
                summary="\n".join(task.name for task in listed.tasks),
                show=lambda to: show_tasks(listed, to),
            )
