"""Waiting for the Hub: what it refuses only for now is tried again, within bounds.

huggingface_hub itself waits for some of its requests, as long as the server says, and gives up at
once on others. Here is the rest, and the bound: a wait of hours is the user's to decide.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from huggingface_hub import get_session, hf_raise_for_status

from talo_export.publish.hub_errors import RefusedForNowError, seconds_to_wait

T = TypeVar("T")

LONGEST = 330.0
"""Seconds of one wait: the Hub counts its limits over windows of five minutes."""
TRIES = 6
"""As huggingface_hub's own: the first and five more, 1, 2, 4, 8, ... seconds apart."""

log = logging.getLogger(__name__)


def patiently(attempt: Callable[[], T]) -> T:
    """What `attempt` returns, tried again where the Hub refuses it for now.

    `attempt` is begun anew each time, so it must be one that may. Raises what it last raised,
    and at once where the server asks for more than `LONGEST`.
    """
    with _bounded_waits():
        for number in range(TRIES - 1):
            try:
                return attempt()
            except RefusedForNowError as error:
                wait = float(2**number) if error.wait is None else error.wait + 1
                if wait > LONGEST:
                    raise
                log.warning(f"waiting {wait:g} seconds for the Hub, then trying again")
                time.sleep(wait)
        return attempt()


@contextmanager
def _bounded_waits() -> Iterator[None]:
    """Keep huggingface_hub from waiting by itself for longer than `LONGEST`."""

    def refuse(response: Any) -> None:
        if response.is_error and (seconds_to_wait(response.headers) or 0) > LONGEST:
            response.read()
            hf_raise_for_status(response)

    hooks = get_session().event_hooks["response"]
    hooks.append(refuse)
    try:
        yield
    finally:
        hooks.remove(refuse)
