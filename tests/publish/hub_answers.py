"""HTTP answers in the form the Hub gives them, raised from wherever they are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Answer(Exception):  # noqa: N818 - an answer is not always an error
    """An HTTP response, raised from wherever it is known."""

    def __init__(
        self, status: int, body: bytes | Any = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = dict(headers or {})


def refuse(status: int, code: str, message: str) -> Answer:
    """An error as the Hub words it: a header with the code, one with the message."""
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return Answer(status, {"error": message}, headers)
