"""What a person sees while many tasks run: one bar over all of them, and what is being done now.

At a terminal a live display on stderr; elsewhere a plain line as each task begins, and now and
then within one. Nothing at all with --json or --quiet.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from talo_export.cli.live import LiveDisplay, OnDisplay
from talo_export.cli.output import Sink
from talo_export.cli.progress import PLAIN_EVERY, bar, clock, line

if TYPE_CHECKING:
    from rich.console import Group

    from talo_export.probing.progress import Progress, Watcher

FIRST_PHASE = 0.9
"""A task's share of the bar that its first phase fills; what follows it is short."""


class ManyProgress(OnDisplay):
    """A context. `begin` announces a task, calling it a phase of that task; `note` a remark."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._live = LiveDisplay(sink)
        self._started = self._said = time.monotonic()
        self._number, self._total, self._name = 1, 1, ""
        self._phases = 0
        self._inside = 0.0
        self._doing = ""

    def __enter__(self) -> ManyProgress:
        self._live.start()
        return self

    def begin(self, number: int, total: int, name: str) -> None:
        """A task begins: the `number`th of `total`."""
        self._number, self._total, self._name = number, total, name
        self._phases, self._inside, self._doing = 0, 0.0, "loading its items"
        self._draw()
        if not self._live.shown:
            self.note(self.headline())

    def note(self, text: str) -> None:
        """A remark that stays, above the bar where there is one."""
        self._live.say(text)

    def __call__(self, phase: str) -> Watcher | None:
        """Begin a phase of the task ("probing 20 items")."""
        if self._sink.mode != "human":
            return None
        self._phases += 1
        started = time.monotonic()
        before = 0.0 if self._phases == 1 else FIRST_PHASE
        share = FIRST_PHASE if self._phases == 1 else 1 - FIRST_PHASE

        def watch(event: Progress) -> None:
            if event.note is not None:
                self.note(event.note)
            self._inside = before + share * event.done / max(event.total, 1)
            now = time.monotonic()
            self._doing = line(phase, event, now - started)
            self._draw()
            if not self._live.shown and now - self._said >= PLAIN_EVERY:
                self._said = now
                print(f"{self.headline()}; {self._doing}", file=sys.stderr)

        return watch

    @property
    def done(self) -> float:
        """The share of all tasks that is done."""
        return (self._number - 1 + min(self._inside, 1.0)) / max(self._total, 1)

    def headline(self) -> str:
        """Which task, and how long the others will take if they are like those so far."""
        left = ""
        if self.done:
            seconds = time.monotonic() - self._started
            left = f", {clock(seconds * (1 - self.done) / self.done)} left for all"
        return f"task {self._number} of {self._total}{left}: {self._name}"

    def _draw(self) -> None:
        self._live.draw(self._picture)

    def _picture(self, width: int) -> Group:
        from rich.console import Group
        from rich.text import Text

        return Group(
            Text(self.headline(), overflow="ellipsis", no_wrap=True),
            bar(self.done, width),
            Text(self._doing, style="dim", overflow="ellipsis", no_wrap=True),
        )
