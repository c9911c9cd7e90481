"""What a person sees while a sweep runs: items done, time left, the leader, gains by layer.

At a terminal a live display on stderr; elsewhere a plain line now and then, so that a log shows
that the work goes on. Nothing at all with --json or --quiet.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from talo_export.cli.live import LiveDisplay, OnDisplay
from talo_export.cli.output import Sink
from talo_export.cli.strip import strip
from talo_export.wording import points

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from talo_export.knockout import Knockout
    from talo_export.probing.progress import Progress, Watcher

PLAIN_EVERY = 15.0
"""Seconds between plain lines where stderr is not a terminal."""


class SweepProgress(OnDisplay):
    """A context; call it with a phase's name to get the watcher of that phase."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._live = LiveDisplay(sink)

    def __enter__(self) -> SweepProgress:
        return self

    def __call__(self, phase: str) -> Watcher | None:
        """Begin a phase ("probing 20 items"); the one before is over."""
        if self._sink.mode != "human":
            return None
        started = last = time.monotonic()
        self._live.start()

        def watch(event: Progress) -> None:
            nonlocal last
            if event.note is not None:
                self._live.say(event.note)
            now = time.monotonic()
            self._live.draw(partial(_picture, phase, event, now - started))
            if not self._live.shown and now - last >= PLAIN_EVERY:
                last = now
                print(line(phase, event, now - started), file=sys.stderr)

        return watch


def _picture(phase: str, event: Progress, seconds: float, width: int) -> Group:
    from rich.console import Group, RenderableType
    from rich.text import Text

    rows: list[RenderableType] = [
        Text(standing(phase, event, seconds)),
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
