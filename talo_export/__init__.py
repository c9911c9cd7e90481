"""talo-export: find the decoder layer whose attention hurts a task, prove it, cut it out.

The Python API is one function a verb (`probe`, `export`, `verify`, ...; `help()` tells each
keyword), and this is the map of the house. Data flows down the list; a room imports only from rooms
above it, and none has an import circle inside (`tests/house`):

    errors knockout wording foreign_text codec reporting      the shared words
    tasks        what is asked: items from files, catalogue, Hub, harness YAML; prompts; answers
    models       what is cut: loading, anatomy, targets, switching a layer off, memory
    probing      how it is scored: sweep, journal, ScoreTable; engines naive and shared
    evidence     what scores mean: selection, confirmation, analyses with their figures
    checkpoint   surgery on files: plan, writer, verify, undo, diff, adapter; never holds weights
    baselines    what else one could do: LoRA and its kin on the same items
    demo         works offline
    requests     what can be asked: a setting is declared once, as flag, keyword and recorded value
    runs         a run on disk: directory, result, reading back, what may be added later
    publish      what others see: card, page, upload
    commands     one file a verb: run(request, reporter) -> result; show(result, console)
    cli          Typer, output, progress, failures

What always holds, each with a test that can fail: every knockout is proved; what was probed is what
is on disk; only planned bytes differ; no item both selects and confirms; a card states the
confirmed number; same seed, same result; a failed write leaves nothing; two texts are two choices;
text from outside is data.

To add
- an option: a field in `requests/`; `commands/` reads it.
- an analysis: a file in `evidence/analyses/`.
- a kind of cut: its value and its name in `knockout.py`, what it fills in `models/targets.py`.
- a fill: `checkpoint/fills.py` and `models/switching.py`, which must agree.
- a task format: a reader in `tasks/` that gives rows to `tasks/building.py`.
- a number format: `checkpoint/formats.py` (and `packings.py`), with a case in
  `tests/checkpoint/quantised.py`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "__version__", "analyze", "ask", "compare", "diff", "doctor", "evaluate", "export", "inspect",
    "load_task", "probe", "push", "report", "tasks", "undo", "verify",
]  # fmt: skip

if TYPE_CHECKING:
    from talo_export.api import (
        analyze,
        ask,
        compare,
        diff,
        doctor,
        evaluate,
        export,
        inspect,
        load_task,
        probe,
        push,
        report,
        tasks,
        undo,
        verify,
    )


class _Package(ModuleType):
    @property
    def tasks(self) -> object:
        """The function `tasks`, whether or not the room of that name was imported."""
        return __getattr__("tasks")

    @tasks.setter
    def tasks(self, room: ModuleType) -> None:
        """Importing the room would put it here."""


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    # The functions need torch; `talo-export --help` and `__version__` must not wait for it.
    if name in __all__:
        from talo_export import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
