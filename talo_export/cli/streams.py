"""stdout and stderr as they are given to us: made fit for any text, or replaced where closed."""

from __future__ import annotations

import io
import os
import sys


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


def leave_stdout() -> None:
    """Send what is still to come nowhere: its reader has gone, and nobody is to be told again."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
