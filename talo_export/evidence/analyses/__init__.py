"""The paper's analyses: a file each, with its values, its sentence and its figure.

To add one, write `NAME.py` with a function `analyse(runs: Runs) -> Analysed`. Nothing else lists
them: the command has a file's name, and its help the first line of the file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module, resources
from typing import TYPE_CHECKING

from talo_export.errors import UsageError

if TYPE_CHECKING:
    from talo_export.evidence.runs import Analysed, Runs


def names() -> tuple[str, ...]:
    """The analyses, as they are called; imports none."""
    return tuple(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def summary(name: str) -> str:
    """What an analysis tells, in one line; imports none."""
    text = resources.files(__package__).joinpath(_file(name) + ".py").read_text(encoding="utf-8")
    return text.split('"""')[1].splitlines()[0].removesuffix(".")


def analysis(name: str) -> Callable[[Runs], Analysed]:
    """The analysis of this name. Raises UsageError where there is none."""
    if name not in names():
        raise UsageError(f"unknown analysis {name!r}; there are {', '.join(names())}.")
    return import_module(f"{__package__}.{_file(name)}").analyse


def _file(name: str) -> str:
    return name.replace("-", "_")
