"""talo-export: find the decoder layer whose attention hurts a task, prove it, cut it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "__version__", "analyze", "compare", "evaluate", "export", "load_task", "probe", "push",
    "verify",
]  # fmt: skip

if TYPE_CHECKING:
    from talo_export.api import analyze, compare, evaluate, export, load_task, probe, push, verify


def __getattr__(name: str) -> object:
    # The functions need torch; `talo-export --help` and `__version__` must not wait for it.
    if name in __all__:
        from talo_export import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
