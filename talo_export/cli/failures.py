"""Errors as a table: from what was raised to one sentence and an exit status.

Our own foreseen failures carry their sentence (`TaloError`). Here are the ones that the operating
system and the libraries raise under us. Whatever is in neither keeps its traceback: a bug of ours.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from talo_export.cli.streams import leave_stdout
from talo_export.errors import TaloError
from talo_export.foreign_text import visible
from talo_export.models.memory import is_out_of_memory

INTERRUPTED = 130
"""The shell's status for a process ended by Ctrl-C."""

_SYSTEM_ERRORS: dict[int, str] = {
    errno.ENOSPC: "the disk is full: free some space, then run the same line again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run the same line again",
    errno.EROFS: "the file system is read-only: name a writable directory with --out",
    errno.EACCES: "permission denied: check who owns it, or name another directory with --out",
    errno.EPERM: "not permitted: check who owns it, or name another directory with --out",
    errno.EEXIST: "is there and no directory: name another place with --out",
    errno.ENOTDIR: "a part of this path is a file: name another place with --out",
    errno.EISDIR: "is a directory, where a file was to be written: name a file with --out",
    errno.ENAMETOOLONG: "is too long a name for this file system: name another with --out",
}


def told(error: BaseException) -> tuple[str, ...]:
    """The lines that tell the user about this error, none where it was not foreseen."""
    if isinstance(error, TaloError):
        return error.lines
    if isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS:
        # Of a renaming, which is how files are written, the place asked for is the second.
        place = error.filename2 or error.filename
        where = f"{place}: " if place else ""
        return (f"{where}{_SYSTEM_ERRORS[error.errno]}.",)
    if is_out_of_memory(error):
        cause = next((f" ({line.strip()})" for line in str(error).splitlines() if line.strip()), "")
        return (
            f"out of memory{cause}; lower --batch-size, use --dtype bfloat16, or spread the model "
            "with --device-map auto.",
        )
    return ()


@contextmanager
def exit_on_known_errors() -> Iterator[None]:
    """Run a command's body: a foreseen failure becomes one sentence on stderr and a status."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted: run the same line again to go on.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader (`| head`) has gone: nothing is left to tell anyone.
        leave_stdout()
        raise SystemExit(1) from None
    except (TaloError, OSError, RuntimeError, MemoryError) as error:
        lines = told(error)
        if not lines:
            raise
        print("error: " + "\n".join(map(visible, lines)), file=sys.stderr)
        raise SystemExit(getattr(error, "exit_status", 1)) from error
