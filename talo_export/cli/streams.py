"""stdout and stderr as they are given to us: made fit for any text, or replaced where closed."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from typing import Any

from talo_export.foreign_text import visible


def prepare_streams() -> None:
    """Let every text be printed: what an encoding lacks shows as its escape.

    A stream that is closed (`>&-`) becomes one that goes nowhere. Otherwise the next file that is
    opened would take its number, and a library's print would land in that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Remarks of libraries, of kernels that nothing here uses and the like: only errors are told.
    logging.disable(logging.WARNING)
    # Libraries print what a file or a server told them.
    logging.setLogRecordFactory(InertRecord)
    warnings.formatwarning = _one_line


class InertRecord(logging.LogRecord):
    """A line of a log that commands no terminal and forges no other line."""

    def getMessage(self) -> str:  # noqa: N802
        """The message, made visible."""
        return visible(super().getMessage())


def _one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {visible(str(message))}\n"


def leave_stdout() -> None:
    """Send what is still to come nowhere: its reader has gone, and nobody is to be told again."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
