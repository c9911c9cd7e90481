"""What a person sees while work goes on: what is done, time left, the leader, gains by layer.

At a terminal a live display on stderr; elsewhere a plain line now and then, so that a log shows
that the work goes on. Nothing at all with --json or --quiet.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from talo_export.cli.live import LiveDisplay
from talo_export.cli.output import Sink
from talo_export.evidence.layer_strip import strip
from talo_export.foreign_text import visible
from talo_export.reporting import SILENT, Advance, Unit
from talo_export.wording import percent, points

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from talo_export.baselines.request import CellRequest, CellResult
    from talo_export.knockout import Knockout
    from talo_export.probing.progress import Progress

PLAIN_EVERY = 15.0
"""Seconds between plain lines where stderr is not a terminal."""

FIRST_PHASE = 0.9
"""A task's share of the bar over many that its first phase fills; what follows it is short."""


class TerminalReporter:
    """Reports on stderr. A context: its display is gone when it ends, however it ends."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._live = LiveDisplay(sink)
        self._tasks: Tasks | None = None
        self._said = time.monotonic()

    def __enter__(self) -> TerminalReporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """A remark that stays, above the display where there is one."""
        self._live.say(text)

    def phase(self, name: str, total: int, unit: Unit) -> Advance:
        """Begin a phase; the one before of its kind is over."""
        if self._sink.mode != "human":
            return SILENT.phase(name, total, unit)
        self._said = started = time.monotonic()
        if unit == "tasks":
            self._tasks = tasks = Tasks(total, started)
            self._live.start()
            return partial(self._next_task, tasks)
        if unit == "cells":
            return self._cells(total, started)
        if self._tasks is None:
            self._live.start()
        if unit == "bytes":
            return self._bytes(name, total)
        return self._answers(name, started)

    def _next_task(self, tasks: Tasks, done: int, /, *, name: str) -> None:
        tasks.begin(done, name)
        self._live.draw(tasks.picture)
        if not self._live.shown:
            self.note(tasks.headline())

    def _answers(self, name: str, started: float) -> Advance:
        tasks = self._tasks
        share = None if tasks is None else tasks.next_phase()

        def advance(done: int, /, *, progress: Progress) -> None:
            now = time.monotonic()
            text = line(name, progress, now - started)
            if tasks is None or share is None:
                self._live.draw(partial(_picture, name, progress, now - started))
            else:
                tasks.inside = share(progress.done / max(progress.total, 1))
                tasks.doing = text
                text = f"{tasks.headline()}; {text}"
                self._live.draw(tasks.picture)
            self._now_and_then(text, now)

        return advance

    def _now_and_then(self, text: str, now: float) -> None:
        if not self._live.shown and now - self._said >= PLAIN_EVERY:
            self._said = now
            print(visible(text), file=sys.stderr)

    def _bytes(self, name: str, total: int) -> Advance:
        if self._tasks is not None or not self._live.shown:
            return SILENT.phase(name, total, "bytes")
        from rich import progress

        bars = progress.Progress(
            progress.TextColumn(name), progress.BarColumn(bar_width=None),
            progress.DownloadColumn(), progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(), auto_refresh=False,
        )  # fmt: skip
        task = bars.add_task(name, total=total)

        def advance(done: int, /, **_: Any) -> None:
            bars.update(task, completed=done)
            self._live.draw(lambda width: bars.get_renderable())

        return advance

    def _cells(self, total: int, started: float) -> Advance:
        resumed: int | None = None

        def advance(
            done: int, /, *, cell: CellRequest | None = None, result: CellResult | None = None
        ) -> None:
            nonlocal resumed
            if cell is None or result is None:
                resumed = done
                return
            said = result.status if result.accuracy is None else percent(result.accuracy)
            left = (time.monotonic() - started) / (done - (resumed or 0)) * (total - done)
            self.note(
                f"{done}/{total} {cell.method}, {cell.shots} shots, seed {cell.seed}: "
                f"{said}{'' if not result.reason else f' ({result.reason})'}"
                f"{f', {left / 60:.0f} min left' if done < total else ''}"
            )

        return advance


class Tasks:
    """Where many tasks stand: one bar over all of them, and what is being done now."""

    def __init__(self, total: int, started: float) -> None:
        self._total, self._started = total, started
        self._before, self._name, self._phases = 0, "", 0
        self.inside = 0.0
        """The share of this task that is done."""
        self.doing = ""

    def begin(self, before: int, name: str) -> None:
        """A task begins, `before` others are over."""
        self._before, self._name, self._phases = before, name, 0
        self.inside, self.doing = 0.0, "loading its items"

    def next_phase(self) -> Callable[[float], float]:
        """From the share done of the task's next phase to that of the task."""
        self._phases += 1
        if self._phases == 1:
            return lambda share: FIRST_PHASE * share
        return lambda share: FIRST_PHASE + (1 - FIRST_PHASE) * share

    @property
    def done(self) -> float:
        """The share of all tasks that is done."""
        return (self._before + min(self.inside, 1.0)) / max(self._total, 1)

    def headline(self) -> str:
        """Which task, and how long the others will take if they are like those so far."""
        left = ""
        if self.done:
            seconds = time.monotonic() - self._started
            left = f", {clock(seconds * (1 - self.done) / self.done)} left for all"
        return f"task {self._before + 1} of {self._total}{left}: {self._name}"

    def picture(self, width: int) -> Group:
        """Headline, bar, and what is being done."""
        from rich.console import Group
        from rich.text import Text

        return Group(
            Text(visible(self.headline()), overflow="ellipsis", no_wrap=True),
            bar(self.done, width),
            Text(visible(self.doing), style="dim", overflow="ellipsis", no_wrap=True),
        )


def _picture(phase: str, event: Progress, seconds: float, width: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    rows: list[RenderableType] = [
        Text(visible(standing(phase, event, seconds))),
        bar(event.done / max(event.total, 1), width),
    ]
    best = leader(event)
    if best is not None:
        rows.append(Text(leading(event, best)))
    if len(event.gains) > 1:
        chosen = None if best is None else best.layer
        rows += strip(by_layer(event), width=width, chosen=chosen)
    return Group(*rows)


def bar(share: float, width: int) -> Table:
    """A bar filled to a share, on a line of its own: rich's bar alone does not end its line."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    line = Table.grid()
    line.add_row(ProgressBar(total=1.0, completed=share, width=min(60, width - 2)))
    return line


def line(phase: str, event: Progress, seconds: float) -> str:
    """How far a phase is after these seconds, with time left and the leading layer."""
    best = leader(event)
    said = standing(phase, event, seconds)
    return said if best is None else f"{said}, {leading(event, best)}"


def standing(phase: str, event: Progress, seconds: float) -> str:
    """Items done, answers where those tell more, and the time left at the pace so far."""
    parts = [f"{phase}: {event.items_done} of {event.items} done"]
    if event.done * event.items != event.items_done * event.total:
        parts[0] += f" ({event.done:,} of {event.total:,} answers)"
    if event.checking:
        parts.append("checking this one the slow way too")
    fresh = event.done - event.resumed
    if event.items_resumed:
        parts.append(f"{event.items_resumed} from the journal")
    if fresh and event.done < event.total:
        parts.append(f"{clock(seconds * (event.total - event.done) / fresh)} left")
    return ", ".join(parts)


def leading(event: Progress, best: Knockout) -> str:
    """The leading layer and its running gain."""
    return f"leading: layer {best.layer} {points(event.gains[best])}"


def leader(event: Progress) -> Knockout | None:
    """The knockout that gains most so far; None where none gains or fewer than two compete."""
    if len(event.gains) < 2:
        return None
    best = max(event.gains, key=lambda knockout: event.gains[knockout])
    return best if event.gains[best] > 0 else None


def by_layer(event: Progress) -> list[float | None]:
    """Running gains in points, one a layer, None for a layer without one."""
    found = {knockout.layer: 100 * gain for knockout, gain in event.gains.items()}
    return [found.get(layer) for layer in range(max(found) + 1)]


def clock(seconds: float) -> str:
    """Seconds as `4:05` or `1:04:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
