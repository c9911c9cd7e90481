"""talo-export: find the decoder layer whose attention hurts a task, prove it, cut it out."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "__version__", "analyze", "compare", "diff", "doctor", "evaluate", "export", "inspect",
    "load_task", "probe", "push", "report", "tasks", "undo", "verify",
]  # fmt: skip

if TYPE_CHECKING:
    from talo_export.api import (
        analyze,
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
