"""How a task's source names a data set of the Hub, and how that is read back."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SOURCE = re.compile(r"(?:^|\s)hf://(?P<repository>[^\s@/]+/[^\s@/]+)@(?P<commit>[0-9a-f]{40})\b")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A data set of the Hub at one commit."""

    repository: str
    commit: str

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.commit}"


def hub_source(source: str) -> HubSource | None:
    """The data set that a `Task.source` names, None where its items came from elsewhere."""
    found = _SOURCE.search(source)
    return None if found is None else HubSource(found["repository"], found["commit"])
