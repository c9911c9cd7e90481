"""What the Hub or the network refused, as one sentence that says what to do next.

The sentences are built from the status and the server's own message only, never from a request:
a request carries the token.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import TracebackType

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils._http import parse_ratelimit_headers

from talo_export.errors import TaloError

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
CHANGED = (409, 412)
"""The repository moved on while something was written to it."""
LIMITED = 429
"""Too many requests."""


class RefusedForNowError(TaloError):
    """What the Hub may well take later; `wait` is in how many seconds, None where it says none."""

    def __init__(self, sentence: str, wait: float | None) -> None:
        super().__init__(sentence)
        self.wait = wait


class told_plainly:  # noqa: N801 - reads as a phrase: with told_plainly("uploading", name)
    """Turn what the Hub or the network raises inside into a `TaloError`; the rest passes.

    `doing` completes "while ...".
    """

    def __init__(self, doing: str, repo_id: str) -> None:
        self.doing = doing
        self.repo_id = repo_id

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        cause = _cause(error)
        if cause is None:
            return
        text = without_token(sentence(cause, self.doing, self.repo_id))
        if isinstance(cause, HfHubHTTPError) and cause.response.status_code in (LIMITED, *CHANGED):
            raise RefusedForNowError(text, seconds_to_wait(cause.response.headers)) from None
        raise TaloError(text) from None


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait, None where it does not.

    `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3); the Hub's own way is
    `RateLimit`, with the seconds until its window ends.
    """
    window = parse_ratelimit_headers(headers)
    if window is not None and window.remaining == 0:
        return window.reset_in_seconds
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.now(timezone.utc)
    return max(0.0, (then.replace(tzinfo=then.tzinfo or timezone.utc) - now).total_seconds())


def without_token(text: str) -> str:
    """The text with the token in use, should it stand there, made unreadable."""
    token = get_token()
    return text.replace(token, "hf_***") if token else text


def sentence(error: BaseException, doing: str, repo_id: str) -> str:
    """One sentence for one failure."""
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so nothing can be pushed to {repo_id}: unset it."
    if isinstance(error, LocalTokenNotFoundError):
        return f"There is no token for {constants.ENDPOINT}: {LOG_IN}."
    if isinstance(error, (RuntimeError, PermissionError)):
        return f"{constants.ENDPOINT} failed while {doing} ({_short(error)}): try again."
    if not isinstance(error, HfHubHTTPError):
        return (
            f"{constants.ENDPOINT} could not be reached while {doing} ({_short(error)}): check the "
            "network and run the same command again; what has arrived is not sent twice."
        )
    status = error.response.status_code
    said = _server_message(error)
    if isinstance(error, GatedRepoError):
        return f"{repo_id} is gated and this token has no access: accept its terms on the Hub."
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id} has no such revision ({said}): leave out --revision, or create it."
    if status == 401:
        return f"{constants.ENDPOINT} does not accept the token ({said}): {LOG_IN}."
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"{repo_id} was not found while {doing}: check its name and the token's rights."
    if status == 403:
        return (
            f"The token may not write to {repo_id} ({said}): use one with the role `write`, or "
            "push to a name of your own."
        )
    if status in CHANGED:
        return (
            f"{repo_id} was changed by somebody else while {doing} ({said}): look at it, then run "
            "the same command again."
        )
    if status == LIMITED:
        wait = seconds_to_wait(error.response.headers)
        when = "later" if wait is None else f"in {wait:.0f} seconds"
        return f"{constants.ENDPOINT} limits the rate of requests: run the same command {when}."
    if status >= 500:
        return (
            f"{constants.ENDPOINT} failed while {doing} (status {status}): run the same command "
            "again; what has arrived is not sent twice."
        )
    return f"{constants.ENDPOINT} refused while {doing} (status {status}: {said})."


def _cause(error: BaseException | None) -> BaseException | None:
    """The failure of the Hub or the network inside `error`, None where it is neither.

    huggingface_hub wraps what an upload's thread raised in a RuntimeError.
    """
    here = error
    while here is not None:
        if isinstance(here, (HfHubHTTPError, OfflineModeIsEnabled, LocalTokenNotFoundError)):
            return here
        if _is_network(here):
            return here
        here = here.__cause__
    # hf_xet, which does the transfer, raises these two for whatever its storage refused.
    return error if isinstance(error, (RuntimeError, PermissionError)) else None


def _is_network(error: BaseException) -> bool:
    """Connections refused, dropped or timed out: sockets' own errors or the HTTP client's."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    # The client library is huggingface_hub's choice and changed with its versions (httpx, httpx2).
    kinds = {(kind.__module__.split(".")[0], kind.__name__) for kind in type(error).__mro__}
    return bool({("httpx", "TransportError"), ("httpx2", "TransportError")} & kinds)


def _server_message(error: HfHubHTTPError) -> str:
    said = (
        error.server_message or error.response.headers.get("X-Error-Message") or "no reason given"
    )
    return _short(said)


def _short(said: object) -> str:
    text = " ".join(str(said).split()) or type(said).__name__
    return text if len(text) <= 160 else text[:157] + "..."
