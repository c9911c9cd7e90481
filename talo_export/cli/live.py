"""A live display on stderr: drawn again and again in place, gone when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from talo_export.cli.output import Sink, console

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


class LiveDisplay:
    """At most one display at a time; where the sink is not live, everything is a no-op."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._live: Live | None = None

    @property
    def shown(self) -> bool:
        """Whether something can be drawn."""
        return self._live is not None

    def start(self) -> None:
        """Begin anew, if there is a terminal to draw on."""
        self.stop()
        if self._sink.live:
            from rich.live import Live

            self._live = Live(console=console(stderr=True), refresh_per_second=8, transient=True)
            self._live.start()

    def stop(self) -> None:
        """Take the display away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def draw(self, picture: Callable[[int], RenderableType]) -> None:
        """Show what `picture` makes of the terminal's width in columns."""
        if self._live is not None:
            self._live.update(picture(self._live.console.width))

    def say(self, text: str) -> None:
        """A remark that stays, above the display where there is one."""
        if self._live is not None:
            self._live.console.print(text, style="dim")
        else:
            self._sink.note(text)
