"""The one place that prints. Commands hand over a result and how to show it to a person.

Human mode: tables and sentences on stdout, notes and progress on stderr. JSON mode: one document
on stdout and nothing else. Quiet mode: only the sentence that matters most.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from talo_export.errors import TaloWarning
from talo_export.foreign_text import json_text, visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.codec import Recorded

Mode = Literal["human", "json", "quiet"]


class Sink:
    """Where a command's words go."""

    def __init__(self, *, json_mode: bool, quiet: bool) -> None:
        self.mode: Mode = "json" if json_mode else "quiet" if quiet else "human"
        # Read by the libraries when they are imported, which is after this.
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        if not self.live:
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            os.environ.setdefault("TQDM_DISABLE", "1")  # transformers reads GGUF under a plain bar
            if not sys.warnoptions:
                # What libraries have to say to programmers; the user's own -W stands.
                warnings.simplefilter("ignore")
                warnings.simplefilter("default", TaloWarning)

    def note(self, text: str) -> None:
        """A passing remark (stderr, human mode only)."""
        if self.mode == "human":
            console(stderr=True).print(text, style="dim")

    def warn(self, text: str) -> None:
        """What the user should know although the work goes on (stderr, in every mode)."""
        print(f"warning: {visible(text)}", file=sys.stderr)

    def result(
        self, result: Recorded, *, summary: str | Sequence[str], show: Callable[[Console], None]
    ) -> None:
        """The command's result: its document as JSON, `summary` when quiet, `show` for a person.

        A summary is one line, or several of which each is given.
        """
        if self.mode == "json":
            document = result.to_json()
            # Whatever the encoding lacks would be no JSON as its escape.
            ascii_only = (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
            text = json.dumps(document, indent=1, ensure_ascii=ascii_only, allow_nan=False)
            sys.stdout.write(json_text(text) + "\n")
        elif self.mode == "quiet":
            lines = (summary,) if isinstance(summary, str) else summary
            print(*map(visible, lines), sep="\n")
        else:
            show(console())
        sys.stdout.flush()

    @property
    def live(self) -> bool:
        """Whether moving progress may be drawn: only for a person at a terminal."""
        return self.mode == "human" and (sys.stderr.isatty() or "ipykernel" in sys.modules)


def console(*, stderr: bool = False) -> Console:
    """A rich console on stdout or stderr; plain text where that is not a terminal.

    What is printed is text, never markup: brackets stand as they are, and control characters
    show as their escapes.
    """
    stream = sys.stderr if stderr else sys.stdout
    # A pipe has no width: give tables room instead of folding them at 80 columns.
    return inert_console(stderr=stderr, width=None if stream.isatty() else 120, soft_wrap=False)


def inert_console(**options: Any) -> Console:
    """A rich console that takes every text as data, one of its own on one line; `options` are
    rich's."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class InertConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **options)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                inert = segment.text if segment.control else visible_lines(segment.text)
                yield Segment(inert, segment.style, segment.control)

    return InertConsole(markup=False, highlight=False, emoji=False, **options)
