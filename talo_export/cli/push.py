"""`talo-export push`: publish an export on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.publish.push import PushResult

HUB = "Hub"


def push(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A run, or an exported checkpoint or adapter.")
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where it goes.")],
    private: Annotated[
        bool, typer.Option("--private", rich_help_panel=HUB, help="Make a new repository private.")
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(
            metavar="BRANCH", rich_help_panel=HUB, help="A branch other than main, made if new."
        ),
    ] = None,
    pull_request: Annotated[
        bool, typer.Option("--pr", rich_help_panel=HUB, help="Open a pull request instead.")
    ] = False,
    form: Annotated[
        Literal["checkpoint", "adapter"] | None,
        typer.Option(
            "--as",
            metavar="FORM",
            rich_help_panel=HUB,
            show_default="what DIR holds",
            help="checkpoint, or adapter: a PEFT adapter of a few kilobytes, made from DIR.",
        ),
    ] = None,
    collection: Annotated[
        bool,
        typer.Option(
            "--collection",
            rich_help_panel=HUB,
            help="DIR holds runs or exports of many tasks: an adapter for each, and a table.",
        ),
    ] = False,
    allow_unconfirmed: Annotated[
        bool,
        typer.Option(
            "--allow-unconfirmed",
            rich_help_panel=HUB,
            help="Publish although no gain was confirmed; the card says so.",
        ),
    ] = False,
    accept_base_terms: Annotated[
        bool,
        typer.Option(
            "--accept-base-terms",
            rich_help_panel=HUB,
            help="The base is gated or restricted, and its terms allow passing it on.",
        ),
    ] = False,
    trust_remote_code: options.TrustRemoteCode = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", rich_help_panel=options.OUTPUT, help="Check all, send nothing."),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check the directory, the card, the token and the target; upload; compare checksums.

    The token comes from HF_TOKEN or `hf auth login` and is written nowhere. Interrupted uploads go
    on when the same line is run again.
    """
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.jobs.push import PushRequest, run_push
        from talo_export.publish.push import Terms

        request = PushRequest(
            directory=directory,
            repo_id=repository,
            form=form,
            collection=collection,
            terms=Terms(
                private=private,
                revision=revision,
                create_pr=pull_request,
                dry_run=dry_run,
                allow_unconfirmed=allow_unconfirmed,
                accept_base_terms=accept_base_terms,
            ),
            trust_remote_code=trust_remote_code,
        )
        result = run_push(request, progress=sink.live)
        for warning in result.warnings:
            sink.warn(warning)
        sink.result(result, summary=result.url, show=lambda to: _show(result, to))


def _show(result: PushResult, to: Console) -> None:
    from rich.text import Text

    size = sum(result.files.values())
    what = f"{len(result.files)} files, {size:,} bytes"
    if result.dry_run:
        to.print(f"would send {what} to {result.url} ({result.revision}); nothing was sent")
    else:
        to.print(f"sent {what}; {result.verified} checksums on the Hub equal the files here")
        to.print(result.pull_request or result.url)
    to.print()
    to.print(Text(result.snippet))
