"""Foreseen failures.

Every failure we foresaw is a `TaloError`: one sentence that names the thing, the value and what
to do next. The command line prints that sentence and exits with the error's status; a traceback
therefore always means a bug of ours.
"""

from __future__ import annotations


class TaloError(Exception):
    """A failure the user can act on: a sentence, and lines of its own for what it lists, if any.

    A line feed inside of either came from outside, and begins no line.
    """

    exit_status = 1

    def __init__(self, sentence: str, *listed: str) -> None:
        super().__init__(sentence, *listed)
        self.lines = (sentence, *listed)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class UsageError(TaloError):
    """The request itself makes no sense (a layer out of range, an unknown task): exit status 2."""

    exit_status = 2


class NotEnoughMemoryError(TaloError):
    """Something does not fit the memory, however little else is in it."""


class ProofError(TaloError):
    """A check of our own effect failed: nothing matched, nothing moved, or too much did.

    Never caught to carry on: a knockout whose effect is not proved is worth nothing.
    """


class TaloWarning(UserWarning):
    """What the user should know although the work goes on; told in every mode, where a library's
    own warnings are not."""
