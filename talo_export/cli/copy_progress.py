"""The bar of a long copy or comparison of files: bytes done, speed, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from talo_export.cli.output import Sink


@contextmanager
def copy_progress(sink: Sink, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """What to call with bytes done and bytes in all; None where nobody looks (see `Sink.live`)."""
    if not sink.live:
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from talo_export.cli.output import console

    bar = Progress(
        TextColumn(what),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=None)

    def show(done: int, total: int) -> None:
        # Drawn from the first byte on: before it, models are read and layers found.
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()
